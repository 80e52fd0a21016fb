/** TypeScript read just closely enough to tell code from comments and strings, and to find its imports. */

/** A source in three views of the same length, with blanks for what was taken out. */
export interface SourceText {
  /** Without comments. */
  uncommented: string;
  /** Without comments and without what stands in strings, templates and regular expressions. */
  code: string;
  /** The specifiers of all imports, re-exports and dynamic imports. */
  imports: string[];
  /** Whether there is a dynamic import of something else than a literal. */
  importsAnything: boolean;
}

/** After these a slash begins a regular expression; after a name, a number or a closing bracket it divides. */
const BEFORE_REGEX = /(?:^|[=(,[!&|?{};:+\-*%<>~^]|\b(?:return|typeof|case|in|of|await|yield|throw|void|else))\s*$/;

/** Reads a source. */
export function readSource(source: string): SourceText {
  const uncommented = [...source.replace(/[\ud800-\udfff]/g, " ")];
  const code = uncommented.slice();
  const blank = (view: string[], from: number, to: number) => {
    for (let index = from; index < to; index++) if (view[index] !== "\n") view[index] = " ";
  };
  /** For each open template, how many braces are open in its interpolation. */
  const braces: number[] = [];
  let at = 0;

  const skipString = (start: number, isEnd: (index: number) => boolean): number => {
    let index = start;
    while (index < source.length && !isEnd(index)) index += source[index] === "\\" ? 2 : 1;
    return Math.min(index, source.length);
  };
  const skipTemplate = (start: number): number => {
    const end = skipString(start, (index) => source[index] === "`" || source.startsWith("${", index));
    blank(code, start, end);
    if (source[end] !== "$") return end + 1;
    braces.push(0);
    return end + 2;
  };

  while (at < source.length) {
    const char = source[at]!;
    if (source.startsWith("//", at) || source.startsWith("/*", at) || (at === 0 && source.startsWith("#!"))) {
      const close = source[at + 1] === "*" ? source.indexOf("*/", at + 2) + 2 : source.indexOf("\n", at);
      const end = close < 2 ? source.length : close;
      blank(code, at, end);
      blank(uncommented, at, end);
      at = end;
    } else if (char === '"' || char === "'") {
      const end = skipString(at + 1, (index) => source[index] === char || source[index] === "\n");
      blank(code, at + 1, end);
      at = end + 1;
    } else if (char === "`") {
      at = skipTemplate(at + 1);
    } else if (char === "/" && BEFORE_REGEX.test(code.slice(Math.max(0, at - 40), at).join(""))) {
      let inClass = false;
      const end = skipString(at + 1, (index) => {
        if (source[index] === "[") inClass = true;
        if (source[index] === "]") inClass = false;
        return source[index] === "\n" || (source[index] === "/" && !inClass);
      });
      blank(code, at + 1, end);
      at = end + 1;
    } else if (braces.length > 0 && char === "{") {
      braces.push(braces.pop()! + 1);
      at++;
    } else if (braces.length > 0 && char === "}") {
      const open = braces.pop()!;
      if (open > 0) braces.push(open - 1);
      at = open > 0 ? at + 1 : skipTemplate(at + 1);
    } else {
      at++;
    }
  }

  const [text, bare] = [uncommented.join(""), code.join("")];
  const imports: string[] = [];
  const patterns = [
    /\b(?:import|export)\b[^;"'`()]*?\bfrom\s*(["'])([^"']+)\1/g,
    /\bimport\s*(["'])([^"']+)\1/g,
    /\bimport\s*\(\s*(["'`])([^"'`]+)\1/g,
  ];
  for (const pattern of patterns) {
    for (const match of text.matchAll(pattern)) {
      // What stands in a string is no import.
      if (/^(im|ex)port/.test(bare.slice(match.index, match.index + 6))) imports.push(match[2]!);
    }
  }
  return { uncommented: text, code: bare, imports, importsAnything: /\bimport\s*\(\s*[^\s"'`]/.test(bare) };
}
