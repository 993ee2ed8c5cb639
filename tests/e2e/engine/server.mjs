// SPDX-License-Identifier: MIT
// A language model behind OpenAI's chat completions: node server.mjs MODEL.gguf MODULES
// Prints its port. One call at a time. What the request asks for as response_format becomes a grammar.
import http from "node:http";
import {createRequire} from "node:module";
import {pathToFileURL} from "node:url";

const [modelPath, modules] = process.argv.slice(2);
const require = createRequire(`${modules}/package.json`);
const {getLlama, LlamaCompletion} = await import(pathToFileURL(require.resolve("node-llama-cpp")));

const llama = await getLlama({gpu: false, build: "never", logLevel: "error", usePrebuiltBinaries: true, progressLogs: false});
const model = await llama.loadModel({modelPath});
const context = await model.createContext({contextSize: 8192, threads: 1});

// Noise would go on for ever, or say nothing: short texts, one or two elements, numbers that are some.
function brief(schema) {
	if (schema.type === "string" && !schema.enum)
		return {...schema, maxLength: 4};
	if (schema.type === "integer")
		return {enum: [0, 3, 8, 255, 600]};
	if (schema.type === "array")
		return {...schema, items: brief(schema.items), minItems: 1, maxItems: 2};
	if (schema.type !== "object")
		return schema;
	const properties = Object.entries(schema.properties).map(([name, member]) => [name, brief(member)]);
	return {...schema, properties: Object.fromEntries(properties)};
}

async function grammarFor(format) {
	if (format?.type === "json_schema")
		return await llama.createGrammarForJsonSchema(brief(format.json_schema.schema));
	if (format?.type === "json_object")
		return await llama.getGrammarFor("json");
	return undefined;
}

async function complete(body) {
	const sequence = context.getSequence();
	try {
		const completion = new LlamaCompletion({contextSequence: sequence});
		const prompt = body.messages.map((m) => `${m.role}: ${m.content}`).join("\n") + "\nassistant: ";
		let tokens = 0;
		const text = await completion.generateCompletion(prompt, {
			grammar: await grammarFor(body.response_format),
			maxTokens: body.max_tokens,
			temperature: body.temperature,
			seed: Math.floor(Math.random() * 2 ** 31),
			onToken: (more) => { tokens += more.length; }
		});
		return {
			object: "chat.completion", model: body.model,
			choices: [{index: 0, message: {role: "assistant", content: text}, finish_reason: tokens >= body.max_tokens ? "length" : "stop"}],
			usage: {prompt_tokens: model.tokenize(prompt).length, completion_tokens: tokens, total_tokens: tokens + model.tokenize(prompt).length}
		};
	} finally {
		sequence.dispose();
	}
}

let last = Promise.resolve();
const server = http.createServer((request, response) => {
	const parts = [];
	request.on("data", (part) => parts.push(part));
	request.on("end", () => {
		last = last.then(() => complete(JSON.parse(Buffer.concat(parts).toString()))).then(
			(answer) => response.writeHead(200, {"Content-Type": "application/json"}).end(JSON.stringify(answer)),
			(error) => response.writeHead(500, {"Content-Type": "application/json"}).end(JSON.stringify({error: {message: String(error)}})));
	});
});
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
