export { connect } from "./net/connect.ts";
export { listen } from "./net/listen.ts";
export { Conn } from "./net/conn.ts";
export { Listener } from "./net/listener.ts";
export { MptcpError } from "./kernel/error.ts";
export { counters } from "./paths/counters.ts";
export { connectTls, listenTls, TlsConn } from "./net/tls.ts";
