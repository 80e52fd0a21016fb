/**
 * FTP over MPTCP: `FtpClient` has the methods of basic-ftp's `Client`, and its control and data connections are MPTCP.
 *
 * @example
 * ```ts ignore
 * import { FtpClient } from "@mptcp/mptcp/ftp";
 *
 * using client = new FtpClient({ mptcp: "prefer" });
 * await client.access({ host: "ftp.example.org" });
 * await client.uploadFrom("photos.tar", "photos.tar");
 * const [upload] = client.dataConnections;
 * console.log(upload?.isMultipath, upload?.subflows.length, upload?.bytes);
 * ```
 *
 * @module
 */
export { FtpClient } from "./client.ts";
export { DataConnection, type DataConnectionOwner, type DataKind } from "./data_connection.ts";
export type { ActiveOptions, DownloadOptions, FtpClientOptions, TransferOptions, UploadOptions } from "./options.ts";
export { FileInfo, FileType, FTPError } from "basic-ftp";
export type { AccessOptions, FTPResponse } from "basic-ftp";
