// What every transport of connect-es must do, in Node.js as in a browser.
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { EchoService } from "./gen/echo/v1/echo_pb.js";

function equal(found, expected) {
  const text = (value) => JSON.stringify(value, (_, v) => (typeof v === "bigint" ? `${v}` : v));
  if (text(found) !== text(expected)) throw new Error(`${text(found)} is not ${text(expected)}`);
}

async function failure(promise) {
  try {
    await promise;
  } catch (error) {
    return ConnectError.from(error);
  }
  throw new Error("it did not fail");
}

async function collect(stream) {
  const found = [];
  for await (const message of stream) found.push(message);
  return found;
}

async function* each(items) {
  yield* items;
}

const unary = {
  async echo(client) {
    let header, trailer;
    const reply = await client.echo(
      { text: "aü€", number: 9007199254740993n, data: new Uint8Array([0, 255]), tags: ["x", ""] },
      { headers: { "x-lead": "one", "x-lead-bin": "AP8" }, onHeader: (h) => (header = h), onTrailer: (t) => (trailer = t) },
    );
    equal([reply.request.text, reply.request.number, [...reply.request.data], reply.request.tags],
      ["aü€", 9007199254740993n, [0, 255], ["x", ""]]);
    equal([header.get("x-lead"), header.get("x-lead-bin")], ["one", "AP8"]);
    equal([trailer.get("x-trail"), trailer.get("x-trail-bin")], ["one, two", "AAEC/w"]);
  },
  async "long messages"(client) {
    const text = "long ".repeat(6_000);
    equal((await client.echo({ text })).request.text === text, true);
  },
  async "an error with details"(client) {
    const error = await failure(client.echo({ fail: { code: 9, message: "not now, ü" } }));
    equal([error.code, error.rawMessage], [Code.FailedPrecondition, "not now, ü"]);
    equal(error.details.map((detail) => detail.type), ["google.rpc.ErrorInfo", "echo.unknown.Detail"]);
    equal(error.metadata.get("x-failed"), "yes");
  },
  async "a timeout"(client) {
    const error = await failure(client.echo({ delayMs: 5000 }, { timeoutMs: 100 }));
    equal(error.code, Code.DeadlineExceeded);
  },
};

const longUnary = {
  async "a request over the limit"(client) {
    const error = await failure(client.echo({ text: "x".repeat(300_000) }));
    equal(error.code, Code.ResourceExhausted);
  },
};

const serverStream = {
  async "a server stream"(client) {
    const messages = await collect(client.count({ to: 100, size: 2000 }));
    equal(messages.map((m) => m.index), Array.from({ length: 100 }, (_, i) => i + 1));
    equal(messages[99].padding.length, 2000);
  },
  async "a server stream that fails at last"(client) {
    const found = [];
    const error = await failure((async () => {
      for await (const message of client.count({ to: 2, fail: { code: 10, message: "again" } })) found.push(message.index);
    })());
    equal([found, error.code, error.rawMessage], [[1, 2], Code.Aborted, "again"]);
    equal(error.metadata.get("x-failed"), "yes");
  },
  async "a server stream that fails at once"(client) {
    const error = await failure(collect(client.count({ fail: { code: 16, message: "who?" } })));
    equal([error.code, error.rawMessage], [Code.Unauthenticated, "who?"]);
  },
  async "messages that come one by one"(client) {
    const abort = new AbortController();
    const found = [];
    const error = await failure((async () => {
      for await (const message of client.count({ to: 1000, pauseMs: 20 }, { signal: abort.signal })) {
        found.push(message.index);
        if (found.length === 3) abort.abort();
      }
    })());
    equal([found, error.code], [[1, 2, 3], Code.Canceled]);
  },
  async "a server stream's timeout"(client) {
    const error = await failure(collect(client.count({ to: 1000, pauseMs: 50 }, { timeoutMs: 200 })));
    equal(error.code, Code.DeadlineExceeded);
  },
};

const clientStream = {
  async "a client stream"(client) {
    const reply = await client.sum(each([{ number: 3n }, { number: 4n }]));
    equal([reply.sum, reply.messages], [7n, 2]);
  },
  async "a client stream that fails"(client) {
    const error = await failure(client.sum(each([{ number: 3n }, { fail: { code: 11, message: "far" } }])));
    equal([error.code, error.rawMessage], [Code.OutOfRange, "far"]);
  },
};

const bothStream = {
  async "both sides at once"(client) {
    let next;
    const asked = (async function* () {
      for (const text of ["a", "b", "c"]) {
        yield { text };
        // Only when the reply has come.
        await new Promise((resolve) => (next = resolve));
      }
    })();
    const found = [];
    for await (const reply of client.chat(asked)) {
      found.push(reply.request.text);
      next();
    }
    equal(found, ["a", "b", "c"]);
  },
};

/** The cases of a transport: pairs of a name and a function. Only Connect by POST has the limit of the test. */
export function cases(transport, { isLimited = false, clientStreams = false, bidi = false } = {}) {
  const client = createClient(EchoService, transport);
  const all = {
    ...unary,
    ...(isLimited ? longUnary : {}),
    ...serverStream,
    ...(clientStreams ? clientStream : {}),
    ...(bidi ? bothStream : {}),
  };
  return Object.entries(all).map(([name, run]) => [name, () => run(client)]);
}
