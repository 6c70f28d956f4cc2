"""The way in: MQTT sources, wire decoding, admission, dead letters, the collector."""
