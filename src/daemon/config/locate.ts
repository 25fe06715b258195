/** A step into a document: the key of a table or the position in an array. */
export type Path = readonly (string | number)[];

/**
 * Finds the line (from 1) on which a key, table header or array element of a TOML document stands: what a person
 * needs beside a schema error, and what TOML parsers do not keep. For a path that is not in the text (a missing key)
 * it is the line of the nearest table or array around it. Expects text that a TOML parser accepted.
 */
export function locate(text: string, path: Path): number {
  const lines = new Scanner(text).scan();
  for (let length = path.length; length > 0; length--) {
    const line = lines.get(JSON.stringify(path.slice(0, length)));
    if (line !== undefined) return line;
  }
  return 1;
}

/** Walks a valid TOML document once and notes the line of every key and array element. */
class Scanner {
  readonly #text: string;
  #at = 0;
  /** The line at `#counted`, which follows `#at`. */
  #lineNumber = 1;
  #counted = 0;
  readonly #lines = new Map<string, number>();
  /** How many elements each `[[array]]` of tables has so far. */
  readonly #arrays = new Map<string, number>();

  constructor(text: string) {
    this.#text = text;
  }

  scan(): Map<string, number> {
    let table: Path = [];
    for (;;) {
      this.#skip();
      if (this.#at >= this.#text.length) return this.#lines;
      if (this.#peek() === '[') table = this.#header();
      else this.#pair(table);
    }
  }

  /** `[a.b]` or `[[a.b]]`: the path that the keys below it extend. */
  #header(): Path {
    const line = this.#line();
    const array = this.#text[this.#at + 1] === '[';
    this.#at += array ? 2 : 1;
    const keys = this.#keys();
    this.#skip();
    this.#at += array ? 2 : 1;
    const path: (string | number)[] = [];
    for (const [i, key] of keys.entries()) {
      path.push(key);
      const name = JSON.stringify(path);
      const last = i === keys.length - 1;
      const count = (this.#arrays.get(name) ?? 0) + (array && last ? 1 : 0);
      if (!this.#lines.has(name)) this.#lines.set(name, line);
      if (count === 0) continue;
      this.#arrays.set(name, count);
      path.push(count - 1);
      if (last) this.#lines.set(JSON.stringify(path), line);
    }
    return path;
  }

  /** `key.key = value` inside `table`. */
  #pair(table: Path): void {
    const line = this.#line();
    const keys = this.#keys();
    for (let i = 1; i <= keys.length; i++) {
      const name = JSON.stringify([...table, ...keys.slice(0, i)]);
      if (!this.#lines.has(name)) this.#lines.set(name, line);
    }
    this.#skip();
    this.#at += 1; // '='
    this.#value([...table, ...keys]);
  }

  #value(path: Path): void {
    this.#skip();
    const first = this.#peek();
    if (first === '"' || first === "'") {
      this.#string();
    } else if (first === '[') {
      this.#items(']', (i) => {
        this.#lines.set(JSON.stringify([...path, i]), this.#line());
        this.#value([...path, i]);
      });
    } else if (first === '{') {
      this.#items('}', () => this.#pair(path));
    } else {
      while (this.#at < this.#text.length && !'\n,]}#'.includes(this.#peek())) this.#at += 1;
    }
  }

  /** The elements of an array or of an inline table, from its opening to its closing bracket. */
  #items(close: string, item: (index: number) => void): void {
    this.#at += 1;
    for (let i = 0; this.#at < this.#text.length; i++) {
      this.#skip();
      if (this.#peek() === close) break;
      item(i);
      this.#skip();
      if (this.#peek() === ',') this.#at += 1;
    }
    this.#at += 1;
  }

  /** `a."b c".d`, up to the `=` or `]` behind it. */
  #keys(): string[] {
    const keys: string[] = [];
    while (this.#at < this.#text.length) {
      this.#skip();
      const start = this.#at;
      if (this.#peek() === '"' || this.#peek() === "'") {
        keys.push(this.#string());
      } else {
        while (/[A-Za-z0-9_-]/.test(this.#peek())) this.#at += 1;
        keys.push(this.#text.slice(start, this.#at));
      }
      this.#skip();
      if (this.#peek() !== '.') break;
      this.#at += 1;
    }
    return keys;
  }

  /** A string of any of TOML's four kinds; its value where it is one line, as keys are. */
  #string(): string {
    const quote = this.#peek();
    const long = this.#text.startsWith(quote.repeat(3), this.#at);
    const end = long ? quote.repeat(3) : quote;
    const start = this.#at;
    this.#at += end.length;
    while (this.#at < this.#text.length && !this.#text.startsWith(end, this.#at)) {
      this.#at += quote === '"' && this.#peek() === '\\' ? 2 : 1;
    }
    this.#at += end.length;
    // Up to two quotes may stand right before the closing three.
    while (long && this.#peek() === quote) this.#at += 1;
    const raw = this.#text.slice(start, this.#at);
    if (long) return raw.slice(3, -3);
    return quote === '"' ? keyOf(raw) : raw.slice(1, -1);
  }

  /** White space, line ends and comments. */
  #skip(): void {
    for (;;) {
      while (/\s/.test(this.#peek())) this.#at += 1;
      if (this.#peek() !== '#') return;
      while (this.#at < this.#text.length && this.#peek() !== '\n') this.#at += 1;
    }
  }

  #peek(): string {
    return this.#text[this.#at] ?? '';
  }

  #line(): number {
    for (; this.#counted < this.#at; this.#counted++) {
      if (this.#text[this.#counted] === '\n') this.#lineNumber += 1;
    }
    return this.#lineNumber;
  }
}

/** The value of a one-line basic string; JSON knows all of TOML's escapes but `\U`, `\e` and `\x`. */
function keyOf(quoted: string): string {
  const plain = quoted.replace(/\\(?:U([0-9A-Fa-f]{8})|x([0-9A-Fa-f]{2})|e)/g, (_, long, short) => {
    const code = Number.parseInt(long ?? short ?? '1b', 16);
    return JSON.stringify(String.fromCodePoint(code)).slice(1, -1);
  });
  try {
    return String(JSON.parse(plain.replaceAll('\t', '\\t')));
  } catch {
    return quoted.slice(1, -1);
  }
}
