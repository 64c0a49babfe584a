import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { test } from "node:test";
import { client, newThread, rejectsWith } from "./server.js";

test("a thread is created, read, changed and deleted", async () => {
  const thread = await client.threads.create({ metadata: { user: "u" }, graphId: "echo", ttl: 60 });
  assert.deepEqual([thread.status, thread.metadata, thread.values], ["idle", { user: "u", graph_id: "echo" }, null]);
  assert.equal((await client.threads.get(thread.thread_id, { include: ["ttl"] })).ttl.ttl_minutes, 60);
  const changed = await client.threads.update(thread.thread_id, { metadata: { user: "v" } });
  assert.equal(changed.metadata.user, "v");
  assert.equal(await client.threads.update(thread.thread_id, { metadata: {}, returnMinimal: true }), undefined);
  await client.threads.delete(thread.thread_id);
  await rejectsWith(404, client.threads.get(thread.thread_id));
});

test("an id that exists is a conflict unless that is accepted", async () => {
  const threadId = randomUUID();
  await client.threads.create({ threadId });
  await rejectsWith(409, client.threads.create({ threadId }));
  assert.equal((await client.threads.create({ threadId, ifExists: "do_nothing" })).thread_id, threadId);
});

test("threads are searched and counted", async () => {
  const metadata = { mark: randomUUID() };
  const { thread_id: threadId } = await client.threads.create({ metadata });
  await client.threads.create({ metadata });
  await client.runs.wait(threadId, "echo", { input: { x: "found" } });
  const found = await client.threads.search({ metadata, values: { x: "found!" }, extract: { said: "values.x" } });
  assert.deepEqual(found.map((each) => [each.thread_id, each.extracted]), [[threadId, { said: "found!" }]]);
  assert.equal(await client.threads.count({ metadata }), 2);
  assert.equal(await client.threads.count({ metadata, status: "busy" }), 0);
  assert.deepEqual(await client.threads.search({ ids: [threadId], select: ["status"] }), [{ status: "idle" }]);
});

test("a thread is copied with its history, and pruned", async () => {
  const threadId = await newThread();
  await client.runs.wait(threadId, "echo", { input: { x: "a" } });
  const copy = await client.threads.copy(threadId);
  const ids = async (id) => (await client.threads.getHistory(id)).map((state) => state.checkpoint.checkpoint_id);
  assert.deepEqual(await ids(copy.thread_id), await ids(threadId));
  assert.deepEqual(await client.threads.prune([threadId], { strategy: "keep_latest" }), { pruned_count: 1 });
  assert.equal((await ids(threadId)).length, 1);
  assert.deepEqual(await client.threads.prune([threadId, copy.thread_id]), { pruned_count: 2 });
  await rejectsWith(404, client.threads.get(threadId));
});

test("supersteps seed a state", async () => {
  const updates = (values, asNode) => ({ updates: [{ values, asNode }] });
  const thread = await client.threads.create({
    graphId: "echo",
    supersteps: [updates({ x: "a" }, "__input__"), updates({ x: "b", log: ["seeded"] }, "echo")],
  });
  const state = await client.threads.getState(thread.thread_id);
  assert.deepEqual([state.values.x, state.values.log, state.next], ["b", ["seeded"], []]);
});

test("state is read at any checkpoint, edited and forked", async () => {
  const threadId = await newThread();
  await client.runs.wait(threadId, "echo", { input: { x: "a" } });
  const history = await client.threads.getHistory(threadId);
  assert.deepEqual(history.map((state) => state.values.x), ["a!", "a", undefined]);
  const [newest, before] = history;
  assert.deepEqual(await client.threads.getHistory(threadId, { before: { configurable: newest.checkpoint } }), history.slice(1));
  assert.deepEqual(await client.threads.getHistory(threadId, { metadata: { source: "input" } }), history.slice(2));
  assert.deepEqual((await client.threads.getState(threadId, before.checkpoint)).values, before.values);
  assert.deepEqual((await client.threads.getState(threadId, before.checkpoint.checkpoint_id)).next, ["echo"]);
  const fork = await client.threads.updateState(threadId, { values: { x: "forked" }, checkpoint: before.checkpoint });
  const again = await client.runs.wait(threadId, "echo", { input: null, checkpointId: fork.checkpoint.checkpoint_id });
  assert.equal(again.x, "forked!");
  await client.threads.updateState(threadId, { values: { x: "edited" }, asNode: "echo" });
  assert.equal((await client.threads.getState(threadId)).values.x, "edited");
});

test("the state of a subgraph is part of its parent's", async () => {
  const threadId = await newThread();
  await client.runs.wait(threadId, "nested_hitl", { input: { x: "a" } });
  const state = await client.threads.getState(threadId, undefined, { subgraphs: true });
  assert.deepEqual(state.tasks[0].state.next, ["ask"]);
});

test("the thread stream shows every run from the beginning", async () => {
  const threadId = await newThread();
  const run = await client.runs.create(threadId, "echo", { input: { x: "a" }, streamResumable: true });
  await client.runs.join(threadId, run.run_id);
  const seen = [];
  const stopping = new AbortController();
  for await (const part of client.threads.joinStream(threadId, { lastEventId: "-", signal: stopping.signal })) {
    seen.push(part);
    if (part.event === "values" && part.data.x === "a!") break;
  }
  stopping.abort();
  assert.equal(seen[0].data.run_id, run.run_id);
});
