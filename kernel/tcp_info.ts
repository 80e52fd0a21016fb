/**
 * `struct tcp_info`: what the kernel tells about one TCP connection, so about one subflow.
 *
 * @module
 */
import { bits8, counter64, HOST_LITTLE_ENDIAN, struct, u16, u32, u8 } from "./struct.ts";

/**
 * `struct tcp_info` of `<linux/tcp.h>`, names without the `tcpi_` prefix, in camelCase. A member is `undefined` where the
 * running kernel is older than the field. The kernel's fields have these units: times in microseconds (µs) or
 * milliseconds (ms) as said, sizes in bytes, rates in bytes per second, windows of segments in segments.
 */
export interface TcpInfo {
  /** The TCP state: 1 ESTABLISHED, 2 SYN_SENT, 7 CLOSE and so on. `tcpi_state` */
  state?: number;
  /** Congestion state: 0 open, 1 disorder, 2 CWR, 3 recovery, 4 loss. `tcpi_ca_state` */
  caState?: number;
  /** Retransmission timeouts since the last progress; > 0 on a path that is dead or dying. `tcpi_retransmits` */
  retransmits?: number;
  /** Window or keep-alive probes sent without an answer. `tcpi_probes` */
  probes?: number;
  /** How often the retransmission timeout was doubled. `tcpi_backoff` */
  backoff?: number;
  /** Bits: 1 timestamps, 2 SACK, 4 window scaling, 8 ECN, 16 ECN seen, 32 data in the SYN. `tcpi_options` */
  options?: number;
  /** Window scaling of the peer's window, as a shift. `tcpi_snd_wscale` */
  sndWscale?: number;
  /** Window scaling of our window, as a shift. `tcpi_rcv_wscale` */
  rcvWscale?: number;
  /** 1 when `deliveryRate` was limited by the application. `tcpi_delivery_rate_app_limited` */
  deliveryRateAppLimited?: number;
  /** Why the client's Fast Open failed: 0 did not, 1 no cookie … `tcpi_fastopen_client_fail` */
  fastopenClientFail?: number;
  /** Retransmission timeout, µs. `tcpi_rto` */
  rto?: number;
  /** Delayed-acknowledgement timeout, µs. `tcpi_ato` */
  ato?: number;
  /** Segment size for sending, bytes. `tcpi_snd_mss` */
  sndMss?: number;
  /** Segment size seen in receiving, bytes. `tcpi_rcv_mss` */
  rcvMss?: number;
  /** Segments sent and not acknowledged; on a listener, connections that wait for accept. `tcpi_unacked` */
  unacked?: number;
  /** Segments selectively acknowledged; on a listener, its backlog. `tcpi_sacked` */
  sacked?: number;
  /** Segments held for lost. `tcpi_lost` */
  lost?: number;
  /** Segments retransmitted and not yet acknowledged. `tcpi_retrans` */
  retrans?: number;
  /** Unused since Linux 4.15. `tcpi_fackets` */
  fackets?: number;
  /** Time since data was last sent, ms. `tcpi_last_data_sent` */
  lastDataSent?: number;
  /** Not kept by Linux, 0. `tcpi_last_ack_sent` */
  lastAckSent?: number;
  /** Time since data was last received, ms. `tcpi_last_data_recv` */
  lastDataRecv?: number;
  /** Time since an acknowledgement was last received, ms. `tcpi_last_ack_recv` */
  lastAckRecv?: number;
  /** Path MTU, bytes. `tcpi_pmtu` */
  pmtu?: number;
  /** Receive slow-start threshold, bytes. `tcpi_rcv_ssthresh` */
  rcvSsthresh?: number;
  /** Smoothed round-trip time, µs. `tcpi_rtt` */
  rtt?: number;
  /** Variation of the round-trip time, µs. `tcpi_rttvar` */
  rttvar?: number;
  /** Slow-start threshold, segments; 2147483647 when not yet set. `tcpi_snd_ssthresh` */
  sndSsthresh?: number;
  /** Congestion window, segments. `tcpi_snd_cwnd` */
  sndCwnd?: number;
  /** Segment size that we advertised, bytes. `tcpi_advmss` */
  advmss?: number;
  /** Reordering that is tolerated, segments. `tcpi_reordering` */
  reordering?: number;
  /** Round-trip time as the receiver estimates it, µs. `tcpi_rcv_rtt` */
  rcvRtt?: number;
  /** Receive-buffer space by auto-tuning, bytes. `tcpi_rcv_space` */
  rcvSpace?: number;
  /** Segments retransmitted in all. `tcpi_total_retrans` */
  totalRetrans?: number;
  /** Rate at which segments are paced, bytes per second; 2^64-1 (rounded) when unlimited. `tcpi_pacing_rate` */
  pacingRate?: number;
  /** Ceiling of the pacing rate, bytes per second. `tcpi_max_pacing_rate` */
  maxPacingRate?: number;
  /** Bytes that the peer acknowledged. `tcpi_bytes_acked` */
  bytesAcked?: number;
  /** Bytes received in order. `tcpi_bytes_received` */
  bytesReceived?: number;
  /** Segments sent. `tcpi_segs_out` */
  segsOut?: number;
  /** Segments received. `tcpi_segs_in` */
  segsIn?: number;
  /** Bytes queued and never sent yet. `tcpi_notsent_bytes` */
  notsentBytes?: number;
  /** Smallest round-trip time seen, µs. `tcpi_min_rtt` */
  minRtt?: number;
  /** Segments with data received. `tcpi_data_segs_in` */
  dataSegsIn?: number;
  /** Segments with data sent. `tcpi_data_segs_out` */
  dataSegsOut?: number;
  /** Delivery rate measured last, bytes per second. `tcpi_delivery_rate` */
  deliveryRate?: number;
  /** Time with data outstanding, µs. `tcpi_busy_time` */
  busyTime?: number;
  /** Time held back by the peer's receive window, µs. `tcpi_rwnd_limited` */
  rwndLimited?: number;
  /** Time held back by our send buffer, µs. `tcpi_sndbuf_limited` */
  sndbufLimited?: number;
  /** Segments delivered, retransmissions included. `tcpi_delivered` (4.18) */
  delivered?: number;
  /** Segments delivered with an ECN congestion mark. `tcpi_delivered_ce` (4.18) */
  deliveredCe?: number;
  /** Bytes sent, retransmissions included. `tcpi_bytes_sent` (4.19) */
  bytesSent?: number;
  /** Bytes retransmitted. `tcpi_bytes_retrans` (4.19) */
  bytesRetrans?: number;
  /** Duplicate segments that the peer reported. `tcpi_dsack_dups` (4.19) */
  dsackDups?: number;
  /** How often reordering was seen. `tcpi_reord_seen` (4.19) */
  reordSeen?: number;
  /** Segments received out of order. `tcpi_rcv_ooopack` (5.4) */
  rcvOoopack?: number;
  /** The peer's receive window, bytes. `tcpi_snd_wnd` (5.4) */
  sndWnd?: number;
  /** Our receive window, bytes. `tcpi_rcv_wnd` (6.2) */
  rcvWnd?: number;
  /** How often the flow's hash was changed to try another route. `tcpi_rehash` (6.2) */
  rehash?: number;
  /** Retransmission timeouts in all. `tcpi_total_rto` (6.7) */
  totalRto?: number;
  /** Recoveries from retransmission timeouts. `tcpi_total_rto_recoveries` (6.7) */
  totalRtoRecoveries?: number;
  /** Time spent in those recoveries, ms. `tcpi_total_rto_time` (6.7) */
  totalRtoTime?: number;
  /** Segments received with a congestion mark. `tcpi_received_ce` (6.18) */
  receivedCe?: number;
  /** Bytes delivered with the ECT(1) mark. `tcpi_delivered_e1_bytes` (6.18) */
  deliveredE1Bytes?: number;
  /** Bytes delivered with the ECT(0) mark. `tcpi_delivered_e0_bytes` (6.18) */
  deliveredE0Bytes?: number;
  /** Bytes delivered with a congestion mark. `tcpi_delivered_ce_bytes` (6.18) */
  deliveredCeBytes?: number;
  /** Bytes received with the ECT(1) mark. `tcpi_received_e1_bytes` (6.18) */
  receivedE1Bytes?: number;
  /** Bytes received with the ECT(0) mark. `tcpi_received_e0_bytes` (6.18) */
  receivedE0Bytes?: number;
  /** Bytes received with a congestion mark. `tcpi_received_ce_bytes` (6.18) */
  receivedCeBytes?: number;
}

// C puts bit fields from the low end up on little-endian machines, from the high end down on the others.
const low4 = HOST_LITTLE_ENDIAN ? bits8(6, 0, 4) : bits8(6, 4, 4);
const high4 = HOST_LITTLE_ENDIAN ? bits8(6, 4, 4) : bits8(6, 0, 4);

const STRUCT = struct({
  state: u8(0),
  caState: u8(1),
  retransmits: u8(2),
  probes: u8(3),
  backoff: u8(4),
  options: u8(5),
  sndWscale: low4,
  rcvWscale: high4,
  deliveryRateAppLimited: HOST_LITTLE_ENDIAN ? bits8(7, 0, 1) : bits8(7, 7, 1),
  fastopenClientFail: HOST_LITTLE_ENDIAN ? bits8(7, 1, 2) : bits8(7, 5, 2),
  rto: u32(8),
  ato: u32(12),
  sndMss: u32(16),
  rcvMss: u32(20),
  unacked: u32(24),
  sacked: u32(28),
  lost: u32(32),
  retrans: u32(36),
  fackets: u32(40),
  lastDataSent: u32(44),
  lastAckSent: u32(48),
  lastDataRecv: u32(52),
  lastAckRecv: u32(56),
  pmtu: u32(60),
  rcvSsthresh: u32(64),
  rtt: u32(68),
  rttvar: u32(72),
  sndSsthresh: u32(76),
  sndCwnd: u32(80),
  advmss: u32(84),
  reordering: u32(88),
  rcvRtt: u32(92),
  rcvSpace: u32(96),
  totalRetrans: u32(100),
  pacingRate: counter64(104),
  maxPacingRate: counter64(112),
  bytesAcked: counter64(120),
  bytesReceived: counter64(128),
  segsOut: u32(136),
  segsIn: u32(140),
  notsentBytes: u32(144),
  minRtt: u32(148),
  dataSegsIn: u32(152),
  dataSegsOut: u32(156),
  deliveryRate: counter64(160),
  busyTime: counter64(168),
  rwndLimited: counter64(176),
  sndbufLimited: counter64(184),
  delivered: u32(192),
  deliveredCe: u32(196),
  bytesSent: counter64(200),
  bytesRetrans: counter64(208),
  dsackDups: u32(216),
  reordSeen: u32(220),
  rcvOoopack: u32(224),
  sndWnd: u32(228),
  rcvWnd: u32(232),
  rehash: u32(236),
  totalRto: u16(240),
  totalRtoRecoveries: u16(242),
  totalRtoTime: u32(244),
  receivedCe: u32(248),
  deliveredE1Bytes: u32(252),
  deliveredE0Bytes: u32(256),
  deliveredCeBytes: u32(260),
  receivedE1Bytes: u32(264),
  receivedE0Bytes: u32(268),
  receivedCeBytes: u32(272),
});

/** `sizeof(struct tcp_info)` on Linux 6.18, the 4 bytes of bit fields at its end included. */
export const TCP_INFO_SIZE = 280;

/**
 * Decodes a `struct tcp_info`.
 *
 * @param view The buffer.
 * @param base Where the struct starts. @default {0}
 * @param length How many bytes of it the kernel wrote. @default {what the view holds}
 */
export function decodeTcpInfo(view: DataView, base?: number, length?: number): TcpInfo {
  return STRUCT.decode(view, base, length);
}
