/**
 * The page. It has no inline script and no inline style: its policy forbids them.
 *
 * @module
 */

/** HTML. */
export const PAGE = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>MPTCP</title>
<link rel="icon" href="/icon.svg" type="image/svg+xml">
<link rel="stylesheet" href="/uplot.css">
<link rel="stylesheet" href="/dash.css">
<script src="/uplot.js" defer></script>
<script src="/dash.js" defer></script>
</head>
<body>
<header class="bar">
  <img src="/icon.svg" alt="" width="28" height="28">
  <div class="who"><h1>MPTCP</h1><p id="host"></p></div>
  <button id="pause" type="button" aria-pressed="false">Pause</button>
  <button id="theme" type="button">Dark</button>
  <p id="status" class="status" role="status"><span class="dot"></span><span id="status-text">connecting</span></p>
</header>
<main>
  <section class="totals" aria-label="All connections">
    <dl><dt>Connections</dt><dd id="count">–</dd></dl>
    <dl><dt>Subflows</dt><dd id="subflows">–</dd></dl>
    <dl><dt>Sending</dt><dd id="sending">–</dd></dl>
    <dl><dt>Receiving</dt><dd id="receiving">–</dd></dl>
  </section>
  <div class="columns">
    <section id="connections" class="cards" aria-label="Connections">
      <p id="empty" class="empty" hidden>There is no MPTCP connection in this network namespace.</p>
      <p id="more" class="more" hidden></p>
    </section>
    <section class="log" aria-labelledby="log-title">
      <h2 id="log-title">Events</h2>
      <p id="eventless" class="note" hidden></p>
      <p id="quiet" class="note" hidden>Nothing has happened yet.</p>
      <ol id="events"></ol>
    </section>
  </div>
</main>
<noscript><p class="note">This page needs JavaScript, all of which comes from this server.</p></noscript>
</body>
</html>
`;
