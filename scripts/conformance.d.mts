/** Where the tables stand in README.md. */
export const BEGIN: string;
export const END: string;
/** The test files that the tables are read from, by role; paths below `root`. */
export function conformanceFiles(root: string): { role: string; files: string[] }[];
/** The tables that the titles of the tests below `root` give, as Markdown. */
export function conformanceTables(root: string): string;
/** The clauses that the titles of a test file name, in order: `RFC 6275 10.3.1`, `RFC 3776 3.1`. */
export function clausesOf(source: string): string[];
/** README.md with its tables replaced. Throws where the two comments are not there. */
export function withTables(readme: string, tables: string): string;
