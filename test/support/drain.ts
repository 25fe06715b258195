/** Everything a sans-IO machine wants done now. */
export function drain<Output>(machine: { poll(): Output | undefined }): Output[] {
  const outputs: Output[] = [];
  for (let next = machine.poll(); next !== undefined; next = machine.poll()) outputs.push(next);
  return outputs;
}

/** The outputs of one type. */
export function ofType<Output extends { readonly type: string }, Type extends Output['type']>(
  outputs: readonly Output[],
  type: Type,
): Extract<Output, { type: Type }>[] {
  return outputs.filter(
    (output): output is Extract<Output, { type: Type }> => output.type === type,
  );
}
