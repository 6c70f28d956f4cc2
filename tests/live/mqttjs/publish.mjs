// Publishes `count` messages at QoS 1 with mqtt.js, as the JSON argument says, and prints what became of them as JSON.
// Once {"sent": ...} is out, a test may take the server away: the client reconnects and repeats what was not acknowledged.
import { readFileSync } from "node:fs";
import mqtt from "mqtt";

const how = JSON.parse(process.argv[2]);
const client = mqtt.connect({
  host: "127.0.0.1",
  port: how.port,
  protocol: how.ca ? "mqtts" : "mqtt",
  ca: how.ca ? readFileSync(how.ca) : undefined,
  protocolVersion: how.version,
  clientId: how.client_id,
  clean: how.clean,
  username: how.user,
  password: how.password,
  reconnectPeriod: how.reconnect ? 200 : 0,
});
const say = (what) => process.stdout.write(JSON.stringify(what) + "\n");
let ended = false;
const end = (what) => {
  if (ended) return;
  ended = true;
  say(what);
  client.end(true, () => process.exit(0));
};

client.on("error", (error) => how.reconnect || end({ error: error.message, code: error.code }));
client.on("disconnect", (packet) => how.reconnect || end({ disconnected: packet.reasonCode }));
client.once("connect", (connack) => {
  let acknowledged = 0;
  for (let number = 0; number < how.count; number++) {
    client.publish(how.topic, `{"t_ms": ${number}}`, { qos: how.qos ?? 1 }, (error) => {
      if (error) return end({ error: error.message, code: error.code });
      acknowledged += 1;
      if (acknowledged === how.count) end({ acknowledged, sessionPresent: connack.sessionPresent });
    });
  }
  say({ sent: how.count });
});
client.on("close", () => how.reconnect || setTimeout(() => end({ closed: true }), 100));
