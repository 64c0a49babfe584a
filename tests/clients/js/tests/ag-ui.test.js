// The client of AG-UI, which CopilotKit and other front ends are built on.

import assert from "node:assert/strict";
import { test } from "node:test";
import { buildResumeArray, HttpAgent } from "@ag-ui/client";
import { client, newThread, url } from "./server.js";

async function agentFor(assistant = "helper", options = {}) {
  return new HttpAgent({ url: `${url}/agui/${assistant}`, threadId: await newThread(), ...options });
}

const say = (agent, content) => agent.addMessage({ id: crypto.randomUUID(), role: "user", content });

const shown = (agent) => agent.messages.map(({ role, content }) => [role, content]);

test("an answer with a thought and a tool of the server", async () => {
  const agent = await agentFor();
  say(agent, "call weather");
  const types = new Set();
  let text = "";
  const { newMessages } = await agent.runAgent(
    {},
    {
      onEvent: ({ event }) => void types.add(event.type),
      onTextMessageContentEvent: ({ event }) => void (text += event.delta),
    },
  );
  assert.deepEqual(shown(agent).slice(1), [
    ["reasoning", "Which tool?"],
    ["assistant", "One moment."],
    ["tool", "sunny in Paris"],
    ["assistant", "The tool said: sunny in Paris"],
  ]);
  assert.equal(newMessages.length, 4);
  assert.equal(text, "One moment.The tool said: sunny in Paris");
  assert.equal(agent.messages.find((message) => message.toolCalls).toolCalls[0].function.name, "weather");
  assert.deepEqual(agent.state, { notes: { answers: 2 } });
  for (const type of ["STEP_STARTED", "STEP_FINISHED", "STATE_SNAPSHOT", "MESSAGES_SNAPSHOT", "CUSTOM", "TOOL_CALL_ARGS"]) {
    assert.ok(types.has(type), type);
  }
});

test("a conversation and its state go on", async () => {
  const agent = await agentFor("helper", { initialState: { notes: { about: "a long story of a quiet harbour", answers: 4 } } });
  for (const word of ["one", "two"]) {
    say(agent, word);
    await agent.runAgent();
  }
  assert.deepEqual(shown(agent), [["user", "one"], ["assistant", "one "], ["user", "two"], ["assistant", "two "]]);
  assert.equal(agent.state.notes.answers, 6);
  const state = await client.threads.getState(agent.threadId);
  assert.equal(state.values.messages.length, 4);
});

test("a tool of the front end", async () => {
  const agent = await agentFor();
  const tools = [{ name: "paint", description: "Paints.", parameters: { type: "object", properties: {} } }];
  say(agent, "call paint");
  await agent.runAgent({ tools });
  const [call] = agent.messages.at(-1).toolCalls;
  assert.equal(call.function.arguments, '{"city":"Paris"}');
  agent.addMessage({ id: crypto.randomUUID(), role: "tool", toolCallId: call.id, content: "a red house" });
  await agent.runAgent({ tools });
  assert.equal(agent.messages.at(-1).content, "The tool said: a red house");
});

test("an interrupt is answered", async () => {
  const agent = await agentFor();
  say(agent, "call delete");
  await agent.runAgent();
  const [interrupt] = agent.pendingInterrupts;
  assert.equal(interrupt.message, "Really?");
  const resume = buildResumeArray([interrupt], { [interrupt.id]: { status: "resolved", payload: "yes" } });
  await agent.runAgent({ resume });
  assert.deepEqual(agent.pendingInterrupts, []);
  assert.equal(agent.messages.at(-1).content, "The tool said: told yes");
});

test("a failure is told, and a run can be stopped", async () => {
  const failing = await agentFor();
  say(failing, "fail");
  let told;
  await failing.runAgent({}, { onRunErrorEvent: ({ event }) => void (told = event) });
  assert.equal(told.message, "the model failed");

  const agent = await agentFor("slow_chat");
  say(agent, "1000");
  await agent.runAgent({}, { onTextMessageContentEvent: () => agent.abortRun() }).catch(() => {});
  for (;;) {
    const [run] = await client.runs.list(agent.threadId);
    if (run.status === "interrupted") break;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
});
