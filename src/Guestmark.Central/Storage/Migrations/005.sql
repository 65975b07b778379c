-- Events about channels (what guests declare, silences, refusals, losses): byte for byte as the node stamped them. Rows go from the oldest on.
CREATE TABLE events (
  id INTEGER PRIMARY KEY AUTOINCREMENT, -- in the order of arrival
  stream_id INTEGER NOT NULL REFERENCES streams (id),
  sequence INTEGER NOT NULL,
  type TEXT NOT NULL,
  subject TEXT NOT NULL, -- a machine or a cell; not a row of machines
  source TEXT NOT NULL,
  time INTEGER NOT NULL, -- by the node's clock
  stored INTEGER NOT NULL, -- by Central's clock
  total INTEGER NOT NULL, -- bytes of encoded of this row and of those before it
  encoded BLOB NOT NULL, -- io.cloudevents.v1.CloudEvent
  UNIQUE (stream_id, sequence)
) STRICT;
CREATE INDEX events_by_subject ON events (subject, id);
CREATE INDEX events_by_type ON events (type, id);
CREATE INDEX events_by_stored ON events (stored);
