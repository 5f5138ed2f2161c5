// Validates the AsyncAPI document named on the command line with the official parser; prints what is wrong.
import { readFileSync } from "node:fs";
import { Parser } from "@asyncapi/parser";

const { document, diagnostics } = await new Parser().parse(readFileSync(process.argv[2], "utf8"));
const wrong = diagnostics.filter((each) => each.severity <= 1);
for (const each of wrong) {
  console.log(`${each.severity === 0 ? "error" : "warning"} ${each.code} ${each.path.join("/")}: ${each.message}`);
}
console.log(document ? `valid: ${document.operations().length} operations` : "not valid");
process.exit(document && wrong.length === 0 ? 0 : 1);
