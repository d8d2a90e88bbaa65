// Reads an AsyncAPI document on standard input, and prints the result of the AsyncAPI project's own parser as JSON.
import { Parser } from "@asyncapi/parser";

const chunks = [];
for await (const chunk of process.stdin) chunks.push(chunk);
const { document, diagnostics } = await new Parser().parse(Buffer.concat(chunks).toString("utf8"));
const said = diagnostics.map(({ code, message, path, severity }) => ({ code, message, path: path.join("."), severity }));
const found = document && {
  version: document.version(),
  channels: document.channels().all().map((channel) => channel.address()),
  sends: document.operations().filterBySend().map((operation) => operation.id()),
  receives: document.operations().filterByReceive().map((operation) => operation.id()),
};
process.stdout.write(JSON.stringify({ diagnostics: said, found: found ?? null }));
