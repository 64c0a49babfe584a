// `useStream` in a browser's document (jsdom).

import assert from "node:assert/strict";
import { after, afterEach, test } from "node:test";
import { JSDOM } from "jsdom";
import { asking, client, newThread, url, words } from "./server.js";

const dom = new JSDOM("<!doctype html><body></body>", { url: "http://waystation.test/" });
globalThis.window = dom.window;
globalThis.document = dom.window.document;
globalThis.navigator ??= dom.window.navigator; // newer versions of Node have their own
globalThis.IS_REACT_ACT_ENVIRONMENT = false; // events arrive when they arrive, as in a browser

const { cleanup, renderHook, waitFor: waitForShort } = await import("@testing-library/react");
const { useStream } = await import("@langchain/langgraph-sdk/react");

afterEach(() => cleanup());
after(() => dom.window.close());

const waitFor = (check) => waitForShort(check, { timeout: 15_000, interval: 20 });

/** A mounted chat. `seen` collects the answer as it was at each rendering. */
function mounted(assistantId, options = {}) {
  const seen = [];
  const hook = renderHook(() => {
    const stream = useStream({ apiUrl: url, apiKey: null, assistantId, ...options });
    const answer = stream.messages.at(-1);
    seen.push(answer?.type === "ai" ? answer.content : "");
    return { stream, messages: stream.messages, interrupt: stream.interrupt, values: stream.values };
  });
  return { seen, get: () => hook.result.current, unmount: hook.unmount };
}

test("a message is answered token by token", async () => {
  let created;
  const chat = mounted("slow_chat", { onThreadId: (id) => (created = id) });
  chat.get().stream.submit(asking(12));
  await waitFor(() => assert.equal(chat.get().stream.isLoading, true));
  await waitFor(() => assert.equal(chat.get().stream.isLoading, false));
  assert.equal(chat.get().messages.at(-1).content, words(12));
  assert.equal(chat.get().stream.error, undefined);
  const growing = new Set(chat.seen.filter(Boolean));
  assert.ok(growing.size >= 5, `the answer was seen growing: ${[...growing]}`);
  assert.deepEqual((await client.threads.getState(created)).values.messages.at(-1).content, words(12));
});

test("a second message continues the conversation, and history shows both", async () => {
  const threadId = await newThread();
  const chat = mounted("chat", { threadId, fetchStateHistory: true });
  for (const count of [2, 3]) {
    chat.get().stream.submit(asking(count));
    await waitFor(() => assert.equal(chat.get().messages.at(-1)?.content, words(count)));
    await waitFor(() => assert.equal(chat.get().stream.isLoading, false));
  }
  assert.deepEqual(chat.get().messages.map((message) => message.type), ["human", "ai", "human", "ai"]);
  await waitFor(() => assert.ok(chat.get().stream.history.length >= 4));
});

test("an interrupt is shown and answered", async () => {
  const chat = mounted("hitl", { threadId: await newThread() });
  chat.get().stream.submit({ x: "a" });
  await waitFor(() => assert.deepEqual(chat.get().interrupt?.value, { question: "ok?" }));
  await waitFor(() => assert.equal(chat.get().stream.isLoading, false));
  chat.get().stream.submit(undefined, { command: { resume: "yes" } });
  await waitFor(() => assert.equal(chat.get().values.x, "yes!"));
  await waitFor(() => assert.equal(chat.get().interrupt, undefined));
});

test("a failure is shown", async () => {
  const errors = [];
  const chat = mounted("failing", { threadId: await newThread(), onError: (error) => errors.push(error) });
  chat.get().stream.submit({ x: "a" });
  await waitFor(() => assert.match(String(chat.get().stream.error), /the node failed/));
  assert.equal(errors.length, 1);
});

test("stopping cancels the run", async () => {
  const threadId = await newThread();
  const chat = mounted("slow_chat", { threadId, reconnectOnMount: true });
  chat.get().stream.submit(asking(2000));
  await waitFor(() => assert.ok(chat.seen.at(-1).includes("w2")));
  await chat.get().stream.stop();
  await waitFor(() => assert.equal(chat.get().stream.isLoading, false));
  const [run] = await client.runs.list(threadId);
  await client.runs.join(threadId, run.run_id);
  assert.equal((await client.runs.get(threadId, run.run_id)).status, "interrupted");
});

test("a page that is reloaded rejoins the run", async () => {
  const threadId = await newThread();
  const before = mounted("slow_chat", { threadId, reconnectOnMount: true });
  before.get().stream.submit(asking(60));
  await waitFor(() => assert.ok(before.seen.at(-1).includes("w3")));
  assert.ok(dom.window.sessionStorage.getItem(`lg:stream:${threadId}`));
  before.unmount();

  const reloaded = mounted("slow_chat", { threadId, reconnectOnMount: true });
  await waitFor(() => assert.ok(reloaded.seen.at(-1).includes("w5")));
  assert.equal(reloaded.get().stream.isLoading, true);
  await waitFor(() => assert.equal(reloaded.get().messages.at(-1)?.content, words(60)));
  await waitFor(() => assert.equal(reloaded.get().stream.isLoading, false));
  assert.equal((await client.runs.list(threadId)).length, 1);
  assert.equal(dom.window.sessionStorage.getItem(`lg:stream:${threadId}`), null);
});
