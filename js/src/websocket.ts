// `ws://` and `wss://`: each binary message is a body.

import { messages } from './engine/codec.js';
import { NanostateError } from './status.js';
import type { Handlers, Transport, WebSocketClass } from './transport.js';

export const SUBPROTOCOL = 'nanostate.v1';

/** The hub's close code for a client that it will not let in later either. */
const POLICY = 1008;
/** There was no close frame. */
const ABNORMAL = 1006;

export function dialWebSocket(WebSocket: WebSocketClass, url: string, handlers: Handlers): Transport {
  let socket: InstanceType<WebSocketClass>;
  try {
    socket = new WebSocket(url, SUBPROTOCOL);
  } catch (error) {
    // A page of https:// may not use ws://, and some ports are closed to pages.
    throw new NanostateError('NS_ERR_PERMISSION', `${(error as Error).message}: ${url}`);
  }
  let isOpen = false;
  let isOver = false;
  const end = (error: NanostateError, isFinal = false) => {
    if (!isOver) {
      isOver = true;
      handlers.ended(error, isFinal);
    }
  };
  const refused = () => {
    const hint = 'is "nanostate hub" running, and does it allow this page?';
    return new NanostateError('NS_ERR_REFUSED', `no connection (${hint}): ${url}`);
  };
  socket.binaryType = 'arraybuffer';
  socket.onopen = () => {
    if (socket.protocol !== SUBPROTOCOL) {
      socket.close();
      return end(new NanostateError('NS_ERR_INVALID', `not a nanostate hub: ${url}`));
    }
    isOpen = true;
    handlers.opened(messages);
  };
  // A text is no body, and is told as one that is malformed.
  socket.onmessage = ({ data }) => handlers.received(new Uint8Array(data instanceof ArrayBuffer ? data : []));
  // Not every WebSocket tells of its end when it fails to connect.
  socket.onerror = () => isOpen || end(refused());
  socket.onclose = ({ code, reason }) => {
    if (!isOpen && code === ABNORMAL) {
      return end(refused());
    }
    const why = [code, reason].filter(Boolean).join(', ');
    const text = code === ABNORMAL ? 'the connection broke' : `the hub closed the connection (${why})`;
    end(new NanostateError(code === POLICY ? 'NS_ERR_PERMISSION' : 'NS_ERR_CLOSED', text), code === POLICY);
  };
  return {
    send: (bytes) => socket.send(bytes),
    get buffered() {
      return socket.bufferedAmount;
    },
    close: () => socket.close(1000),
  };
}
