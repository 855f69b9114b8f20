/**
 * Phoenix Channels in k6.
 *
 * What a server answers is a value: a refused join, an error, a timeout and a closed
 * channel are outcomes that `check()` takes. Only `connect()` rejects. Arguments that
 * cannot be used throw.
 */
declare module 'k6/x/phoenix' {
  /** `"5s"`, `"1m30s"`, or a number of milliseconds. */
  export type Duration = string | number;

  /** Tags of metrics. */
  export type Tags = Record<string, string | number | boolean>;

  /** What JSON can carry, or an ArrayBuffer or a view of one for a binary message. */
  export type Payload = object | ArrayBuffer | ArrayBufferView | string | number | boolean | null;

  export interface SocketOptions {
    /** Params of the connection, for connect/3. */
    params?: Record<string, string | number | boolean>;
    /** Headers of the HTTP requests. connect/3 sees those that begin with `x-`. */
    headers?: Record<string, string>;
    /** The auth token (Phoenix 1.8), which is not in the URL. See `token.sign`. */
    authToken?: string;
    /** Tags for all metrics of the socket. */
    tags?: Tags;
    /** Limit of connect, join, push, receive, leave and close, each. Default: 10 s. */
    timeout?: Duration;
    /** From one heartbeat to the next. Default: 30 s. Negative: none. */
    heartbeatInterval?: Duration;
    /** The version of the protocol. Default: `"2.0.0"`. */
    vsn?: '2.0.0' | '1.0.0';
    /** `"fallback"`: long poll where no WebSocket gets through. Default: `"websocket"`. */
    transport?: 'websocket' | 'longpoll' | 'fallback';
    /**
     * The socket outlives the iteration: it ends with `close()`, with the connection, or
     * with the test. Default: false.
     */
    persist?: boolean;
    /**
     * The socket reconnects and its channels rejoin, with backoff, and connect() tries
     * until its timeout. Default: false, because a repaired failure cannot be seen.
     */
    reconnect?: boolean;
    /** Every push and send whose payload is an object gets a stamp. Default: false. */
    stamp?: boolean;
    /** The tag `topic` of a topic. Default: `room:42` becomes `room:*`. */
    topicTag?: (topic: string) => string;
  }

  /** The rejection of `connect()`. */
  export interface ConnectError extends Error {
    /** The HTTP status with which the server refused, or 0 if there was no response. */
    status: number;
  }

  /**
   * What a join, push or leave came to. `"ok"`, `"error"` and others are the status of
   * the server's reply. `"timeout"`: none came in time. `"closed"`: the connection or the
   * channel ended, or there was none.
   */
  export interface Outcome<T = any> {
    status: 'ok' | 'error' | 'timeout' | 'closed' | (string & {});
    /** The response of the reply: parsed JSON, or an ArrayBuffer; null without a reply. */
    response: T;
    /** Milliseconds from the call to the outcome. */
    duration: number;
    /** Why there was no reply. */
    error?: string;
  }

  /** What a `receive()` came to. */
  export interface Received<T = any> {
    status: 'ok' | 'timeout' | 'closed';
    event: string;
    /** Parsed JSON, or an ArrayBuffer; null without a message. */
    payload: T;
    /** Milliseconds from the call to the message. */
    duration: number;
  }

  /** A socket. It may be made in the init context, and does nothing until connect(). */
  export class Socket {
    /** The endpoint, such as `wss://example.com/socket`, without `/websocket`. */
    constructor(url: string, options?: SocketOptions);
    /** The endpoint without its query. */
    readonly url: string;
    /**
     * Fulfilled when the server has answered the first heartbeat; at once if the socket
     * is connected. Rejects with a ConnectError.
     */
    connect(): Promise<void>;
    /** The channel of a topic. A second call returns the same one. */
    channel(topic: string, params?: object): Channel;
    /** Calls back when the connection has ended for good. error is "" after close(). */
    onClose(callback: (event: { error: string }) => void): void;
    /** Sends what waits, awaits replies, leaves the channels and closes the connection. */
    close(): Promise<void>;
  }

  export class Channel {
    readonly topic: string;
    /** On a joined channel it is fulfilled at once, with the reply of its join. */
    join(options?: { timeout?: Duration }): Promise<Outcome>;
    /** Sends an event and awaits the reply. */
    push<T = any>(event: string, payload?: Payload, options?: PushOptions & { timeout?: Duration }): Promise<Outcome<T>>;
    /** Sends an event that has no reply. False: not joined, or too much waits. */
    send(event: string, payload?: Payload, options?: PushOptions): boolean;
    /** Calls back with the payload of each message. Returns what ends that. */
    on<T = any>(event: string, callback: (payload: T) => void): () => void;
    /**
     * The oldest message of the event that matches and that no receive() has had: of the
     * last 100 that came, or one to come. `where` is a function, or an object whose
     * properties the payload has to have.
     */
    receive<T = any>(
      event: string,
      options?: { timeout?: Duration; where?: object | ((payload: T) => boolean) },
    ): Promise<Received<T>>;
    leave(options?: { timeout?: Duration }): Promise<Outcome>;
    /** Who is present. The server sends the list after a join: call it before. */
    presence(): Presence;
  }

  export interface PushOptions {
    /** Tags for the metrics of this message. */
    tags?: Tags;
    /**
     * Puts the time into the payload, under `k6_stamp`. Whoever receives it in this
     * process measures `phoenix_delivery_duration`.
     */
    stamp?: boolean;
  }

  export interface PresenceEntry<M = any> {
    key: string;
    metas: M[];
  }

  export class Presence {
    /** All entries, by key. */
    list<M = any>(): PresenceEntry<M>[];
    get<M = any>(key: string): PresenceEntry<M> | null;
    /** How many keys there are. */
    count(): number;
    /** "ok" once the list is that of the server. */
    synced(options?: { timeout?: Duration }): Promise<Outcome>;
  }

  export interface TokenOptions {
    /** When it is signed: a Date, or milliseconds since 1970. Default: now. */
    signedAt?: Date | number;
    /** As on the server. Defaults: 1000, 32 and "sha256". */
    keyIterations?: number;
    keyLength?: number;
    keyDigest?: 'sha256' | 'sha384' | 'sha512';
  }

  export const token: {
    /** Phoenix.Token.sign/4. Integers stay integers; keys of objects are strings. */
    sign(secretKeyBase: string, salt: string, data: any, options?: TokenOptions): string;
    /** Phoenix.Token.encrypt/4. */
    encrypt(secretKeyBase: string, salt: string, data: any, options?: TokenOptions): string;
  };
}
