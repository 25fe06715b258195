/**
 * Every failure that a person may see: a stable `code` for programs and one line for people that says what is
 * wrong, where, and what to do about it.
 */
export class KagemushaError extends Error {
  readonly code: string;

  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
    this.code = code;
  }
}
