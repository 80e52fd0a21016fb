/**
 * `mptcp completions`: what makes a shell complete the command's words.
 *
 * @module
 */
import type { Command } from "../frame/command.ts";
import { EXIT } from "../frame/failure.ts";

/** @param all The commands; asked for when they are all there. */
export function completions(all: () => readonly Command[]): Command {
  return {
    name: "completions",
    summary: "a script that makes bash, zsh or fish complete mptcp's words",
    usage: "bash | zsh | fish",
    options: [],
    operands: [1, 1],
    words: ["bash", "zsh", "fish"],
    examples: [
      ["source <(mptcp completions bash)", "for this shell"],
      ['mptcp completions zsh > "${fpath[1]}/_mptcp"', "for all to come"],
      ["mptcp completions fish > ~/.config/fish/completions/mptcp.fish", "likewise"],
    ],
    async run({ operands, output }) {
      const { completionScript, SHELLS } = await import("../frame/completions.ts");
      const shell = SHELLS.find((each) => each === operands[0])!;
      output.print(completionScript(shell, all()).trimEnd());
      return EXIT.ok;
    },
  };
}
