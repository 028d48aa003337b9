// A mail server for tests: takes mails by SMTP with TLS and writes each as one line of JSON to standard output.
// node server.mjs PORT MODE CERTIFICATE KEY; MODE is `starttls`, `implicit`, or `plain` (offers no TLS).
import { readFileSync } from "node:fs";
import { SMTPServer } from "smtp-server";

const [port, mode, certificate, key] = process.argv.slice(2);
const say = (line) => process.stdout.write(JSON.stringify(line) + "\n");

const server = new SMTPServer({
  secure: mode === "implicit",
  hideSTARTTLS: mode === "plain",
  cert: readFileSync(certificate),
  key: readFileSync(key),
  authOptional: true,
  disableReverseLookup: true,
  onAuth(auth, session, done) {
    const known = auth.username === "bank" && auth.password === "mail-server-password";
    done(known ? null : Object.assign(new Error("no"), { responseCode: 535 }), known ? { user: "bank" } : undefined);
  },
  onRcptTo(address, session, done) {
    // The other side's words may hold anything.
    if (address.address.startsWith("refused")) {
      return done(Object.assign(new Error(`${address.address} canary unknown`), { responseCode: 550 }));
    }
    if (address.address.startsWith("later")) {
      return done(Object.assign(new Error("canary greylisted"), { responseCode: 451 }));
    }
    done();
  },
  onData(stream, session, done) {
    const parts = [];
    stream.on("data", (part) => parts.push(part));
    stream.on("end", () => {
      const { mailFrom, rcptTo } = session.envelope;
      say({
        secure: session.secure,
        user: session.user ?? null,
        from: mailFrom.address,
        to: rcptTo.map((to) => to.address),
        message: Buffer.concat(parts).toString("utf8"),
      });
      done();
    });
  },
});
server.on("error", () => {});
server.listen(Number(port), "127.0.0.1", () => say({ port: server.server.address().port }));
