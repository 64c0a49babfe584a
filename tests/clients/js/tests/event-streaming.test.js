// The thread stream (protocol v2), over server-sent events and over a WebSocket.

import assert from "node:assert/strict";
import { test } from "node:test";
import WebSocket from "ws";
import { asking, client, fragilePath, newThread, words } from "./server.js";
import { Client } from "@langchain/langgraph-sdk";

const opened = (threadId, assistantId, transport, from = client, options = {}) =>
  from.threads.stream(threadId, {
    assistantId,
    transport,
    webSocketFactory: (address) => new WebSocket(address),
    reconnectDelayMs: () => 20,
    ...options,
  });

/** The events of a subscription up to the first that is the last. */
async function until(subscription, last) {
  const events = [];
  for await (const event of subscription) {
    events.push(event);
    if (last(event)) break;
  }
  return events;
}

const isEnd = (event) =>
  event.method === "lifecycle" &&
  event.params.namespace.length === 0 &&
  ["completed", "failed", "interrupted"].includes(event.params.data.event);

const ALL = ["values", "updates", "checkpoints", "messages", "tools", "custom", "lifecycle", "input", "tasks"];

for (const transport of ["sse", "websocket"]) {
  test(`${transport}: a run, its messages, values and output`, async () => {
    const thread = opened(await newThread(), "chat", transport);
    try {
      const reading = (async () => {
        const texts = [];
        for await (const message of thread.messages) texts.push(await message.text);
        return texts;
      })();
      const { run_id: runId } = await thread.run.start({ input: asking(5) });
      const output = await thread.output;
      assert.ok(runId);
      assert.equal(output.messages.at(-1).content, words(5));
      assert.deepEqual(await reading, [words(5)]);
    } finally {
      await thread.close();
    }
  });

  test(`${transport}: an interrupt, an answer, and the end`, async () => {
    const thread = opened(await newThread(), "hitl", transport);
    try {
      const events = await thread.subscribe({ channels: ["values", "lifecycle", "input"] });
      await thread.run.start({ input: { x: "a" } });
      await until(events, isEnd);
      assert.equal(thread.interrupted, true);
      const [{ interruptId, payload, namespace }] = thread.interrupts;
      assert.deepEqual(payload, { question: "ok?" });
      const more = await thread.subscribe({ channels: ["values", "lifecycle"] });
      await thread.input.respond({ interrupt_id: interruptId, response: "yes", namespace });
      const values = await until(more, (event) => event.method === "values" && event.params.data.x === "yes!");
      assert.ok(values.length > 0);
    } finally {
      await thread.close();
    }
  });

  test(`${transport}: what is said while the agent works is read next`, async () => {
    const thread = opened(await newThread(), "slow_chat", transport);
    try {
      const events = await thread.subscribe({ channels: ["values", "lifecycle"] });
      await thread.run.start({ input: asking(30) });
      await thread.input.inject({ namespace: [], message: { role: "user", content: "2" } });
      await until(events, isEnd);
      const said = (event) => event.params.data.messages?.map((message) => message.content);
      const next = await thread.subscribe({ channels: ["values"] });
      const told = await until(next, (event) => said(event)?.length === 4);
      assert.deepEqual(said(told.at(-1)).slice(1), [words(30), "2", words(2)]);
    } finally {
      await thread.close();
    }
  });

  test(`${transport}: subgraphs have namespaces`, async () => {
    const thread = opened(await newThread(), "nested", transport);
    try {
      const below = await thread.subscribe({ channels: ["updates", "lifecycle"], namespaces: [["sub"]] });
      await thread.run.start({ input: { x: "a" } });
      const events = await until(below, (event) => event.params.data.event === "completed");
      assert.deepEqual(events.map((event) => event.params.data.node ?? event.params.data.event), [
        "started",
        "one",
        "two",
        "completed",
      ]);
      assert.equal(new Set(events.map((event) => event.params.namespace.join("|"))).size, 1);
    } finally {
      await thread.close();
    }
  });

  test(`${transport}: a connection that is cut in mid-stream comes back, and nothing is lost or doubled`, async () => {
    const path = await fragilePath();
    const far = new Client({ apiUrl: path.url, apiKey: null });
    const threadId = await newThread();
    const thread = opened(threadId, "slow_chat", transport, far);
    try {
      const events = await thread.subscribe({ channels: ALL });
      await thread.run.start({ input: asking(30) });
      const seen = [];
      let cuts = 0;
      for await (const event of events) {
        seen.push(event);
        if (event.params.data.event === "content-block-delta" && seen.length % 15 === 0 && cuts < 3) {
          cuts += 1;
          path.cut();
        }
        if (isEnd(event)) break;
      }
      assert.ok(cuts > 0);
      const direct = opened(threadId, "slow_chat", transport);
      const replayed = await until(await direct.subscribe({ channels: ALL }), isEnd);
      await direct.close();
      assert.deepEqual(seen.map((event) => event.event_id), replayed.map((event) => event.event_id));
    } finally {
      await thread.close();
      path.close();
    }
  });

  test(`${transport}: a run is forked from an earlier checkpoint`, async () => {
    const threadId = await newThread();
    const thread = opened(threadId, "echo", transport);
    try {
      await thread.run.start({ input: { x: "a" } });
      assert.equal((await thread.output).x, "a!");
      const [, earlier] = await client.threads.getHistory(threadId);
      const events = await thread.subscribe({ channels: ["values", "lifecycle"] });
      await thread.run.start({
        input: { x: "b" },
        config: { configurable: { checkpoint_id: earlier.checkpoint.checkpoint_id } },
      });
      await until(events, (event) => event.method === "values" && event.params.data.x === "b!");
    } finally {
      await thread.close();
    }
  });
}

test("two tabs see the same", async () => {
  const threadId = await newThread();
  const tabs = [opened(threadId, "nested", "sse"), opened(threadId, "nested", "websocket")];
  try {
    const both = await Promise.all(tabs.map((tab) => tab.subscribe({ channels: ALL })));
    await tabs[0].run.start({ input: { x: "a" } });
    const [one, other] = await Promise.all(both.map((events) => until(events, isEnd)));
    assert.deepEqual(one, other);
  } finally {
    await Promise.all(tabs.map((tab) => tab.close()));
  }
});
