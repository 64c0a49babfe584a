import assert from "node:assert/strict";
import { test } from "node:test";
import { asking, client, collected, newThread, of, said, words } from "./server.js";

const run = async (graph, input, streamMode, options = {}) =>
  collected(client.runs.stream(await newThread(), graph, { input, streamMode, ...options }));

test("metadata comes first", async () => {
  const told = [];
  const parts = await run("echo", { x: "a" }, "values", { onRunCreated: (created) => told.push(created) });
  assert.deepEqual(parts[0].data, { run_id: told[0].run_id, attempt: 1 });
  assert.deepEqual(parts.filter((part) => part.id), []);
});

test("values and updates", async () => {
  const parts = await run("nested", { x: "a" }, ["values", "updates"]);
  assert.deepEqual(of(parts, "values").map((data) => data.x), ["a", "a!", "a!", "a!!"]);
  assert.deepEqual(of(parts, "updates").flatMap(Object.keys), ["before", "sub", "after"]);
});

test("messages, accumulated", async () => {
  const parts = await run("chat", asking(3), "messages");
  assert.deepEqual(of(parts, "messages/partial").map(([message]) => message.content), ["w0", "w0 ", "w0 w1", "w0 w1 ", words(3)]);
  assert.equal(of(parts, "messages/metadata").length, 1);
});

test("messages, in pieces", async () => {
  const parts = await run("chat", asking(3), "messages-tuple");
  assert.equal(said(of(parts, "messages")), words(3));
});

test("custom events", async () => {
  assert.deepEqual(of(await run("custom", { x: "a" }, "custom"), "custom"), [{ progress: 1 }, { progress: 2 }]);
});

test("tasks, checkpoints, debug and events", async () => {
  const parts = await run("echo", { x: "a" }, ["tasks", "checkpoints", "debug", "events"]);
  assert.equal(of(parts, "tasks").length, 2);
  assert.deepEqual(of(parts, "checkpoints").map((data) => data.next), [["__start__"], ["echo"], []]);
  assert.deepEqual(new Set(of(parts, "debug").map((data) => data.type)), new Set(["checkpoint", "task", "task_result"]));
  assert.ok(of(parts, "events").some((data) => data.event === "on_chain_end"));
});

test("events of subgraphs carry their namespace", async () => {
  const parts = await run("nested", { x: "a" }, "updates", { streamSubgraphs: true });
  const inner = parts.filter((part) => part.event.startsWith("updates|sub:"));
  assert.deepEqual(inner.flatMap((part) => Object.keys(part.data)), ["one", "two"]);
});

test("interrupts show, and the resumed run streams on", async () => {
  const threadId = await newThread();
  const asked = await collected(client.runs.stream(threadId, "hitl", { input: { x: "a" }, streamMode: ["values", "updates"] }));
  assert.deepEqual(of(asked, "values").at(-1).__interrupt__[0].value, { question: "ok?" });
  const resumed = await collected(client.runs.stream(threadId, "hitl", { command: { resume: "yes" }, streamMode: "values" }));
  assert.equal(of(resumed, "values").at(-1).x, "yes!");
});

test("a failure is the last event", async () => {
  const parts = await run("failing", { x: "a" }, "values");
  assert.deepEqual(parts.at(-1), { event: "error", data: { error: "ValueError", message: "the node failed" }, id: undefined });
});

test("a run without a thread", async () => {
  const parts = await collected(client.runs.stream(null, "echo", { input: { x: "a" }, streamMode: "values" }));
  assert.equal(of(parts, "values").at(-1).x, "a!");
});

test("a finished resumable run is replayed from any event", async () => {
  const threadId = await newThread();
  const options = { input: asking(5), streamMode: ["messages-tuple", "values"], streamResumable: true };
  const parts = await collected(client.runs.stream(threadId, "chat", options));
  const runId = parts[0].data.run_id;
  const joined = (joinOptions) => collected(client.runs.joinStream(threadId, runId, joinOptions));
  assert.deepEqual(await joined({ lastEventId: "-1" }), parts);
  assert.deepEqual(await joined({ lastEventId: parts[3].id }), parts.slice(4));
  const values = await joined({ lastEventId: "-1", streamMode: ["values"] });
  assert.deepEqual(values, parts.filter((part) => part.event === "values"));
});

test("a run is joined while it goes", async () => {
  const threadId = await newThread();
  const started = await client.runs.create(threadId, "slow_chat", { input: asking(15), streamMode: ["messages-tuple"] });
  const parts = await collected(client.runs.joinStream(threadId, started.run_id));
  assert.ok(of(parts, "messages").length > 0);
  assert.ok(words(15).endsWith(said(of(parts, "messages"))));
});

test("cancelling ends the stream", async () => {
  const threadId = await newThread();
  const parts = [];
  for await (const part of client.runs.stream(threadId, "slow_chat", { input: asking(2000), streamMode: "messages-tuple" })) {
    parts.push(part);
    if (parts.length === 3) await client.runs.cancel(threadId, parts[0].data.run_id);
  }
  assert.equal((await client.threads.get(threadId)).status === "busy", false);
  assert.equal(parts.some((part) => part.event === "error"), false);
});
