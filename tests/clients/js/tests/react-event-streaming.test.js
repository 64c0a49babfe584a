// `useStream` of @langchain/react, which follows a thread by the event streaming protocol, in a browser's document (jsdom).

import assert from "node:assert/strict";
import { after, afterEach, test } from "node:test";
import { JSDOM } from "jsdom";
import WebSocket from "ws";
import { asking, client, fragilePath, newThread, url, words } from "./server.js";

const dom = new JSDOM("<!doctype html><body></body>", { url: "http://waystation.test/" });
globalThis.window = dom.window;
globalThis.document = dom.window.document;
globalThis.navigator ??= dom.window.navigator; // newer versions of Node have their own
globalThis.IS_REACT_ACT_ENVIRONMENT = false; // events arrive when they arrive, as in a browser
globalThis.WebSocket ??= WebSocket; // newer versions of Node have their own

const { cleanup, render, renderHook, waitFor: waitForShort } = await import("@testing-library/react");
const { useMessages, useStream } = await import("@langchain/react");
const { createElement, StrictMode } = await import("react");

afterEach(() => cleanup());
after(() => dom.window.close());

const waitFor = (check) => waitForShort(check, { timeout: 15_000, interval: 20 });

const text = (message) => message?.text ?? message?.content;

/** No token was shown twice, left out, or taken back. */
function growsTo(whole, seen) {
  for (const [index, answer] of seen.entries()) {
    assert.ok(whole.startsWith(answer), answer);
    assert.ok(answer.length >= (seen[index - 1] ?? "").length, `${answer} after ${seen[index - 1]}`);
  }
}

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

/** The same in strict mode, as a part of a page that stays while the chat is hidden and shown. */
function toggled(assistantId, options) {
  const seen = [];
  let current;
  const Chat = () => {
    current = useStream({ apiUrl: url, assistantId, ...options });
    const answer = current.messages.at(-1);
    seen.push(answer?.type === "ai" ? text(answer) : "");
    return null;
  };
  const page = (shown) => createElement(StrictMode, null, shown ? createElement(Chat) : null);
  const { rerender } = render(page(true));
  const show = (shown) => {
    current = undefined;
    rerender(page(shown));
  };
  return { seen, get: () => current, show };
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

  test(`${transport}: a connection that is cut in mid-stream comes back, and the page shows every token once`, async () => {
    const path = await fragilePath();
    const threadId = await newThread();
    try {
      const chat = mounted("slow_chat", { threadId, transport, apiUrl: path.url, reconnectDelayMs: () => 20 });
      chat.get().submit(asking(60));
      for (const token of ["w5", "w12", "w20"]) {
        await waitFor(() => assert.ok(chat.seen.at(-1).includes(token)));
        assert.ok(path.cut() > 0);
      }
      const beforeLast = chat.seen.length;
      await waitFor(() => assert.equal(text(chat.get().messages.at(-1)), words(60)));
      await waitFor(() => assert.equal(chat.get().isLoading, false));
      assert.ok(new Set(chat.seen.slice(beforeLast)).size > 2, "the answer goes on growing after the last cut");
      growsTo(words(60), chat.seen);
      assert.equal(chat.get().error, undefined);
      assert.deepEqual(chat.get().messages.map((message) => message.type), ["human", "ai"]);
      assert.equal((await client.runs.list(threadId)).length, 1);
    } finally {
      cleanup(); // before the way to the server goes, so that nothing tries to come back
      path.close();
    }
  });

  test(`${transport}: a component that is unmounted in mid-run and mounted again shows the run that goes on`, async () => {
    const threadId = await newThread();
    const chat = toggled("slow_chat", { threadId, transport });
    chat.get().submit(asking(60));
    await waitFor(() => assert.ok(chat.seen.at(-1).includes("w3")));
    chat.show(false);
    assert.equal(chat.get(), undefined);
    const before = chat.seen.length;
    chat.show(true);
    await waitFor(() => assert.ok(chat.get().isLoading && chat.seen.slice(before).at(-1)?.includes("w5")));
    await waitFor(() => assert.equal(text(chat.get().messages.at(-1)), words(60)));
    await waitFor(() => assert.equal(chat.get().isLoading, false));
    const after = chat.seen.slice(before);
    assert.ok(new Set(after).size > 2, `the answer was seen growing: ${after}`);
    growsTo(words(60), after);
    assert.equal((await client.runs.list(threadId)).length, 1);
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

  test(`${transport}: what is asked while a run goes on is queued, and answered in order`, async () => {
    const threadId = await newThread();
    const chat = mounted("slow_chat", { threadId, transport });
    chat.get().submit(asking(10));
    await waitFor(() => assert.ok(chat.seen.at(-1).includes("w1")));
    chat.get().submit(asking(3), { multitaskStrategy: "enqueue" });
    await waitFor(() => assert.equal(chat.get().messages.length, 4));
    await waitFor(() => assert.equal(text(chat.get().messages.at(-1)), words(3)));
    await waitFor(() => assert.equal(chat.get().isLoading, false));
    assert.deepEqual(chat.get().messages.map((message) => message.type), ["human", "ai", "human", "ai"]);
    assert.equal((await client.runs.list(threadId)).length, 2);
  });

  test(`${transport}: a second tab shows what the first one does`, async () => {
    const threadId = await newThread();
    const first = mounted("slow_chat", { threadId, transport });
    first.get().submit(asking(15));
    await waitFor(() => assert.ok(first.seen.at(-1).includes("w2")));
    const second = mounted("slow_chat", { threadId, transport: transport === "sse" ? "websocket" : "sse" });
    await waitFor(() => assert.equal(second.get().isLoading, true));
    for (const tab of [first, second]) {
      await waitFor(() => assert.equal(text(tab.get().messages.at(-1)), words(15)));
      await waitFor(() => assert.equal(tab.get().isLoading, false));
    }
  });

  test(`${transport}: a conversation is forked from an earlier checkpoint`, async () => {
    const threadId = await newThread();
    const chat = mounted("chat", { threadId, transport });
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

/** The answers of each subagent as they were at each rendering, by the task that it was given. */
function watchingSubagents(assistantId, options) {
  const seen = new Map();
  const Card = ({ stream, subagent }) => {
    const answer = useMessages(stream, subagent).at(-1);
    if (answer?.type === "ai") seen.set(subagent.taskInput, [...(seen.get(subagent.taskInput) ?? []), text(answer)]);
    return null;
  };
  let current;
  const Page = () => {
    current = useStream({ apiUrl: url, assistantId, ...options });
    return [...current.subagents.values()].map((subagent) =>
      createElement(Card, { key: subagent.id, stream: current, subagent }),
    );
  };
  render(createElement(Page));
  return { seen, get: () => current };
}

for (const transport of ["sse", "websocket"]) {
  test(`${transport}: subagents that work at the same time are seen answering`, async () => {
    const page = watchingSubagents("delegating_in_parallel", { threadId: await newThread(), transport });
    page.get().submit({ messages: [{ role: "user", content: "12 15" }] });
    await waitFor(() => assert.equal(page.get().isLoading, true));
    await waitFor(() => assert.equal(page.get().isLoading, false));
    for (const count of [12, 15]) {
      await waitFor(() => assert.equal(page.seen.get(`${count}`)?.at(-1), words(count)));
      const growing = page.seen.get(`${count}`);
      assert.ok(new Set(growing).size >= 5, `the answer was seen growing: ${growing}`);
      growsTo(words(count), growing);
    }
  });
}

test("an agent of the Managed Deep Agents API is followed, with its subagent and its approvals", async () => {
  const made = await fetch(`${url}/v1/deepagents/agents`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({
      name: "clerk",
      model: "demo:chat",
      tools: { tools: [], interrupt_config: { write_file: true } },
      subagents: [{ name: "courier", description: "Carries messages", instructions: "Carry them." }],
    }),
  });
  const { id } = await made.json();
  const page = watchingSubagents(id, { threadId: await newThread(), transport: "websocket" });
  page.get().submit({ messages: [{ role: "user", content: "ask courier: good morning\nwrite notes.md: Dewey" }] });
  await waitFor(() => assert.equal(page.get().interrupt?.value.actionRequests?.[0].name, "write_file"));
  await page.get().respond({ decisions: [{ type: "approve" }] });
  await waitFor(() => assert.ok(page.get().values.files?.["/notes.md"]));
  await waitFor(() => assert.equal(page.get().isLoading, false));
  assert.equal(page.get().interrupt, undefined);
  assert.deepEqual([...page.get().subagents.values()].map(({ name, status }) => [name, status]), [["courier", "complete"]]);
  assert.match(page.seen.get("good morning")?.at(-1), /^\[demo model\] You said: 'good morning'/);
});
