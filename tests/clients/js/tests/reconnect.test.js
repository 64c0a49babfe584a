import assert from "node:assert/strict";
import { test } from "node:test";
import { Client } from "@langchain/langgraph-sdk";
import { asking, client, collected, fragilePath, newThread, of, said, words } from "./server.js";

/** Reads `stream` until the reader has left. Some versions of the client then throw, others end the stream. */
async function readUntilLeft(stream, leaving, read) {
  try {
    for await (const part of stream) read(part);
  } catch (error) {
    assert.equal(error.name, "AbortError");
  }
  assert.ok(leaving.signal.aborted);
}

test("a lost connection loses and repeats nothing", async (context) => {
  const path = await fragilePath();
  context.after(() => path.close());
  const threadId = await newThread();
  const created = [];
  const stream = new Client({ apiUrl: path.url, apiKey: null }).runs.stream(threadId, "slow_chat", {
    input: asking(40),
    streamMode: ["messages-tuple"],
    streamResumable: true,
    onRunCreated: (run) => created.push(run),
  });
  const parts = [];
  for await (const part of stream) {
    parts.push(part);
    if (parts.length === 10 || parts.length === 25) path.cut();
  }
  assert.equal(said(of(parts, "messages")), words(40));
  assert.equal(new Set(parts.map((part) => part.id)).size, parts.length);
  assert.equal(created.length, 1);
  const { run_id: runId } = created[0];
  assert.deepEqual(await collected(client.runs.joinStream(threadId, runId, { lastEventId: "-1" })), parts);
});

test("a client that went away joins the same run later", async () => {
  const threadId = await newThread();
  const leaving = new AbortController();
  const seen = [];
  const stream = client.runs.stream(threadId, "slow_chat", {
    input: asking(20),
    streamMode: ["messages-tuple"],
    streamResumable: true,
    onDisconnect: "continue",
    signal: leaving.signal,
  });
  await readUntilLeft(stream, leaving, (part) => {
    seen.push(part);
    if (seen.length === 5) leaving.abort();
  });
  const rest = await collected(client.runs.joinStream(threadId, seen[0].data.run_id, { lastEventId: seen.at(-1).id }));
  assert.equal(said(of([...seen, ...rest], "messages")), words(20));
});

test("leaving cancels a run that asked for it", async () => {
  const threadId = await newThread();
  const leaving = new AbortController();
  let runId;
  const stream = client.runs.stream(threadId, "slow_chat", {
    input: asking(2000),
    onDisconnect: "cancel",
    signal: leaving.signal,
    onRunCreated: (run) => (runId = run.run_id),
  });
  await readUntilLeft(stream, leaving, (part) => {
    if (part.event === "values") leaving.abort();
  });
  await client.runs.join(threadId, runId);
  assert.equal((await client.runs.get(threadId, runId)).status, "interrupted");
});
