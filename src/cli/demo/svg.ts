/** Text that may stand in an SVG, in an attribute too. */
export function escapeXml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.codePointAt(0)};`);
}

/** A line of text. @param more attributes, as they are */
export function text(x: number, y: number, content: string, more = ''): string {
  return `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}"${more === '' ? '' : ` ${more}`}>${escapeXml(content)}</text>`;
}
