// `useStream` of @langchain/react, which follows a thread by the event streaming protocol, in a browser's document (jsdom).

import assert from "node:assert/strict";
import { after, afterEach, test } from "node:test";
import { JSDOM } from "jsdom";
import WebSocket from "ws";
import { asking, client, newThread, url, words } from "./server.js";

const dom = new JSDOM("<!doctype html><body></body>", { url: "http://waystation.test/" });
globalThis.window = dom.window;
globalThis.document = dom.window.document;
globalThis.navigator ??= dom.window.navigator; // newer versions of Node have their own
globalThis.IS_REACT_ACT_ENVIRONMENT = false; // events arrive when they arrive, as in a browser
globalThis.WebSocket ??= WebSocket; // newer versions of Node have their own

const { cleanup, renderHook, waitFor: waitForShort } = await import("@testing-library/react");
const { useStream } = await import("@langchain/react");

afterEach(() => cleanup());
after(() => dom.window.close());

const waitFor = (check) => waitForShort(check, { timeout: 15_000, interval: 20 });

const text = (message) => message?.text ?? message?.content;

/** A mounted chat. `seen` collects the answer as it was at each rendering. */
function mounted(assistantId, options = {}) {
  const seen = [];
  const hook = renderHook(() => {
    const stream = useStream({ apiUrl: url, assistantId, transport: options.transport ?? "sse", ...options });
    const answer = stream.messages.at(-1);
    seen.push(answer?.type === "ai" ? text(answer) : "");
    return { ...stream, interrupt: stream.interrupt, interrupts: stream.interrupts };
  });
  return { seen, get: () => hook.result.current, unmount: hook.unmount };
}

for (const transport of ["sse", "websocket"]) {
  test(`${transport}: a message is answered token by token`, async () => {
    const chat = mounted("slow_chat", { threadId: await newThread(), transport });
    chat.get().submit(asking(12));
    await waitFor(() => assert.equal(chat.get().isLoading, true));
    await waitFor(() => assert.equal(chat.get().isLoading, false));
    assert.equal(text(chat.get().messages.at(-1)), words(12));
    assert.equal(chat.get().error, undefined);
    const growing = new Set(chat.seen.filter(Boolean));
    assert.ok(growing.size >= 5, `the answer was seen growing: ${[...growing]}`);
  });

  test(`${transport}: an interrupt is shown and answered`, async () => {
    const chat = mounted("hitl", { threadId: await newThread(), transport });
    chat.get().submit({ x: "a" });
    await waitFor(() => assert.deepEqual(chat.get().interrupt?.value, { question: "ok?" }));
    await waitFor(() => assert.equal(chat.get().isLoading, false));
    await chat.get().respond("yes");
    await waitFor(() => assert.equal(chat.get().values.x, "yes!"));
    await waitFor(() => assert.equal(chat.get().interrupt, undefined));
  });
}

test("several interrupts are answered at once", async () => {
  const threadId = await newThread();
  const chat = mounted("two_questions", { threadId });
  chat.get().submit({ x: "a" });
  await waitFor(() => assert.equal(chat.get().interrupts.length, 2));
  await chat.get().respondAll(Object.fromEntries(chat.get().interrupts.map(({ id, value }) => [id, `${value}!`])));
  await waitFor(() => assert.deepEqual([...(chat.get().values.log ?? [])].sort(), ["left=left!", "right=right!"]));
  assert.equal((await client.runs.list(threadId)).length, 2);
});

test("a failure is shown", async () => {
  const chat = mounted("failing", { threadId: await newThread() });
  chat.get().submit({ x: "a" });
  await waitFor(() => assert.match(String(chat.get().error), /the node failed/));
  await waitFor(() => assert.equal(chat.get().isLoading, false));
});

test("stopping cancels the run", async () => {
  const threadId = await newThread();
  const chat = mounted("slow_chat", { threadId });
  chat.get().submit(asking(2000));
  await waitFor(() => assert.ok(chat.seen.at(-1).includes("w2")));
  await chat.get().stop();
  await waitFor(() => assert.equal(chat.get().isLoading, false));
  const [run] = await client.runs.list(threadId);
  await client.runs.join(threadId, run.run_id);
  assert.equal((await client.runs.get(threadId, run.run_id)).status, "interrupted");
});

test("a page that is reloaded shows the run that goes on", async () => {
  const threadId = await newThread();
  const before = mounted("slow_chat", { threadId });
  before.get().submit(asking(60));
  await waitFor(() => assert.ok(before.seen.at(-1).includes("w3")));
  before.unmount();
  const reloaded = mounted("slow_chat", { threadId });
  await waitFor(() => assert.ok(reloaded.seen.at(-1).includes("w5")));
  assert.equal(reloaded.get().isLoading, true);
  await waitFor(() => assert.equal(text(reloaded.get().messages.at(-1)), words(60)));
  await waitFor(() => assert.equal(reloaded.get().isLoading, false));
  assert.equal((await client.runs.list(threadId)).length, 1);
});

test("what is asked while a run goes on is queued, and answered in order", async () => {
  const threadId = await newThread();
  const chat = mounted("slow_chat", { threadId });
  chat.get().submit(asking(10));
  await waitFor(() => assert.ok(chat.seen.at(-1).includes("w1")));
  chat.get().submit(asking(3), { multitaskStrategy: "enqueue" });
  await waitFor(() => assert.equal(chat.get().messages.length, 4));
  await waitFor(() => assert.equal(text(chat.get().messages.at(-1)), words(3)));
  await waitFor(() => assert.equal(chat.get().isLoading, false));
  assert.deepEqual(chat.get().messages.map((message) => message.type), ["human", "ai", "human", "ai"]);
  assert.equal((await client.runs.list(threadId)).length, 2);
});

test("a second tab shows what the first one does", async () => {
  const threadId = await newThread();
  const [first, second] = [mounted("slow_chat", { threadId }), mounted("slow_chat", { threadId })];
  await waitFor(() => assert.equal(second.get().isThreadLoading, false));
  first.get().submit(asking(15));
  await waitFor(() => assert.ok(first.seen.at(-1).includes("w2")));
  const late = mounted("slow_chat", { threadId });
  for (const tab of [first, late]) {
    await waitFor(() => assert.equal(text(tab.get().messages.at(-1)), words(15)));
    await waitFor(() => assert.equal(tab.get().isLoading, false));
  }
});

test("a conversation is forked from an earlier checkpoint", async () => {
  const threadId = await newThread();
  const chat = mounted("chat", { threadId });
  chat.get().submit(asking(2));
  await waitFor(() => assert.equal(text(chat.get().messages.at(-1)), words(2)));
  await waitFor(() => assert.equal(chat.get().isLoading, false));
  const start = (await client.threads.getHistory(threadId)).at(-1);
  chat.get().submit(asking(4), { forkFrom: start.checkpoint.checkpoint_id });
  await waitFor(() => assert.equal(text(chat.get().messages.at(-1)), words(4)));
  await waitFor(() => assert.equal(chat.get().isLoading, false));
  const { values } = await client.threads.getState(threadId);
  assert.deepEqual(values.messages.map((message) => message.content), ["4", words(4)]);
});

test("the calls of a tool are shown with their results", async () => {
  const chat = mounted("agent", { threadId: await newThread() });
  chat.get().submit({ messages: [{ role: "user", content: "go" }] });
  await waitFor(() => assert.equal(chat.get().toolCalls.length, 2));
  await waitFor(() => assert.equal(chat.get().isLoading, false));
  assert.deepEqual(chat.get().toolCalls.map((call) => [call.name, call.id ?? call.callId]), [
    ["look", "call-ok"],
    ["look", "call-bad"],
  ]);
});

test("a subagent is discovered, with its task and its result", async () => {
  const chat = mounted("delegating", { threadId: await newThread() });
  chat.get().submit({ messages: [{ role: "user", content: "go" }] });
  await waitFor(() => assert.equal([...chat.get().subagents.values()][0]?.status, "complete"));
  const [subagent] = chat.get().subagents.values();
  assert.equal(chat.get().subagents.size, 1);
  assert.deepEqual([subagent.name, subagent.taskInput, text(subagent.output)], ["helper", "look", "found it"]);
});
