import assert from "node:assert/strict";
import { test } from "node:test";
import { client, newThread, rejectsWith } from "./server.js";

test("a run is created, joined, read, listed and deleted", async () => {
  const threadId = await newThread();
  const told = [];
  const run = await client.runs.create(threadId, "echo", {
    input: { x: "a" },
    metadata: { m: 1 },
    config: { tags: ["t"], configurable: { k: "v" } },
    durability: "sync",
    onRunCreated: (created) => told.push(created),
  });
  assert.deepEqual(told.map(({ ...created }) => created), [{ run_id: run.run_id, thread_id: threadId }]);
  assert.deepEqual(await client.runs.join(threadId, run.run_id), { x: "a!", n: 1, log: [] });
  assert.equal((await client.runs.get(threadId, run.run_id)).status, "success");
  assert.deepEqual(await client.runs.list(threadId, { select: ["status"], status: "success" }), [{ status: "success" }]);
  await client.runs.delete(threadId, run.run_id);
  await rejectsWith(404, client.runs.get(threadId, run.run_id));
});

test("waiting gives the values, or throws what the graph raised", async () => {
  assert.equal((await client.runs.wait(null, "echo", { input: { x: "a" } })).x, "a!");
  await assert.rejects(client.runs.wait(null, "failing", { input: {} }), /ValueError: the node failed/);
  const told = await client.runs.wait(null, "failing", { input: {}, raiseError: false });
  assert.deepEqual(told, { __error__: { error: "ValueError", message: "the node failed" } });
});

test("a batch of runs without a thread", async () => {
  const payloads = ["a", "b"].map((x) => ({ assistantId: "echo", input: { x }, on_completion: "keep" }));
  const runs = await client.runs.createBatch(payloads);
  const results = await Promise.all(runs.map((run) => client.runs.join(run.thread_id, run.run_id)));
  assert.deepEqual(results.map((values) => values.x), ["a!", "b!"]);
});

test("a run is cancelled, with or without its traces", async () => {
  const threadId = await newThread();
  const first = await client.runs.create(threadId, "sleeper", { input: { n: 60 } });
  await client.runs.cancel(threadId, first.run_id, true);
  assert.equal((await client.runs.get(threadId, first.run_id)).status, "interrupted");
  const second = await client.runs.create(threadId, "sleeper", { input: { n: 60 } });
  await client.runs.cancel(threadId, second.run_id, true, "rollback");
  await rejectsWith(404, client.runs.get(threadId, second.run_id));
  const third = await client.runs.create(threadId, "sleeper", { input: { n: 60 } });
  await client.runs.cancelMany({ threadId, runIds: [third.run_id] });
  await client.runs.join(threadId, third.run_id);
  assert.equal((await client.runs.get(threadId, third.run_id)).status, "interrupted");
});

test("double texting", async () => {
  const threadId = await newThread();
  const first = await client.runs.create(threadId, "sleeper", { input: { n: 60 } });
  await rejectsWith(409, client.runs.create(threadId, "echo", { input: {}, multitaskStrategy: "reject" }));
  const values = await client.runs.wait(threadId, "echo", { input: { x: "b" }, multitaskStrategy: "interrupt" });
  assert.equal(values.x, "b!");
  assert.equal((await client.runs.get(threadId, first.run_id)).status, "interrupted");
});

test("an interrupt is answered", async () => {
  const threadId = await newThread();
  const asked = await client.runs.wait(threadId, "hitl", { input: { x: "a" } });
  assert.deepEqual(asked.__interrupt__[0].value, { question: "ok?" });
  assert.equal((await client.threads.get(threadId)).status, "interrupted");
  const done = await client.runs.wait(threadId, "hitl", { command: { resume: "yes" } });
  assert.deepEqual([done.x, done.log], ["yes!", ["asked"]]);
});

test("several interrupts are answered at once", async () => {
  const threadId = await newThread();
  const asked = await client.runs.wait(threadId, "two_questions", { input: {} });
  const resume = Object.fromEntries(asked.__interrupt__.map(({ id, value }) => [id, value.toUpperCase()]));
  const done = await client.runs.wait(threadId, "two_questions", { command: { resume } });
  assert.deepEqual(done.log.sort(), ["left=LEFT", "right=RIGHT"]);
});

test("a run stops before a node and goes on", async () => {
  const threadId = await newThread();
  const stopped = await client.runs.wait(threadId, "nested", { input: { x: "a" }, interruptBefore: ["after"] });
  assert.equal(stopped.x, "a!");
  assert.equal((await client.runs.wait(threadId, "nested", { input: null })).x, "a!!");
});
