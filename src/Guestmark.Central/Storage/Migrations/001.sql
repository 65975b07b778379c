-- Times are milliseconds since 1970-01-01 UTC. Text that a guest chose is bounded before it gets here.

CREATE TABLE distributions (
  id INTEGER PRIMARY KEY,
  os_id TEXT NOT NULL,
  os_version_id TEXT NOT NULL,
  UNIQUE (os_id, os_version_id)
) STRICT;

-- One row per distinct package in a distribution, whoever has it installed: the unit of matching.
-- AUTOINCREMENT: an id is part of URLs and must not come back for another package.
CREATE TABLE packages (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  distribution_id INTEGER NOT NULL REFERENCES distributions (id),
  manager INTEGER NOT NULL,
  name TEXT NOT NULL,
  version TEXT NOT NULL, -- [epoch:]version[-release]
  arch TEXT NOT NULL,
  module TEXT NOT NULL,
  source_name TEXT NOT NULL,
  source_version TEXT NOT NULL,
  matched_revision TEXT, -- of the advisory database; null before the first match
  UNIQUE (distribution_id, manager, name, version, arch, module, source_name, source_version)
) STRICT;
CREATE INDEX packages_by_revision ON packages (matched_revision);

-- What a machine has installed, stored once whoever has it. The counts are those of the findings at matched_revision.
CREATE TABLE package_sets (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  digest BLOB NOT NULL UNIQUE, -- SHA-256 of the sorted contents of its packages and their distribution
  distribution_id INTEGER NOT NULL REFERENCES distributions (id),
  package_count INTEGER NOT NULL,
  critical INTEGER NOT NULL DEFAULT 0,
  important INTEGER NOT NULL DEFAULT 0,
  moderate INTEGER NOT NULL DEFAULT 0,
  low INTEGER NOT NULL DEFAULT 0,
  unknown INTEGER NOT NULL DEFAULT 0,
  matched_revision TEXT,
  matched_at INTEGER
) STRICT;
CREATE INDEX package_sets_by_revision ON package_sets (matched_revision);

CREATE TABLE package_set_members (
  set_id INTEGER NOT NULL REFERENCES package_sets (id) ON DELETE CASCADE,
  package_id INTEGER NOT NULL REFERENCES packages (id),
  PRIMARY KEY (set_id, package_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX package_set_members_by_package ON package_set_members (package_id);

CREATE TABLE machines (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  uid TEXT NOT NULL UNIQUE,
  name TEXT NOT NULL,
  namespace TEXT NOT NULL,
  cluster TEXT NOT NULL,
  node TEXT NOT NULL,
  state INTEGER NOT NULL, -- guestmark.v1.VmState
  state_at INTEGER NOT NULL, -- time of the lifecycle event that set name and state; 0 before the first
  first_seen INTEGER NOT NULL,
  last_report INTEGER,
  os_pretty_name TEXT NOT NULL DEFAULT '',
  set_id INTEGER REFERENCES package_sets (id)
) STRICT;
CREATE INDEX machines_by_name ON machines (name);
CREATE INDEX machines_by_set ON machines (set_id);

-- The highest sequence that is stored of each stream: an event at or below it was stored before.
CREATE TABLE streams (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  sequence INTEGER NOT NULL,
  missing INTEGER NOT NULL -- numbers that were skipped
) STRICT;

CREATE TABLE reports (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  event_id TEXT NOT NULL,
  stream_id INTEGER NOT NULL REFERENCES streams (id),
  sequence INTEGER NOT NULL,
  machine_id INTEGER NOT NULL REFERENCES machines (id) ON DELETE CASCADE,
  received INTEGER NOT NULL,
  set_id INTEGER NOT NULL REFERENCES package_sets (id)
) STRICT;
CREATE INDEX reports_by_machine ON reports (machine_id, id);
CREATE INDEX reports_by_set ON reports (set_id);

-- By distinct package: every machine that has the package has the finding.
CREATE TABLE findings (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  package_id INTEGER NOT NULL REFERENCES packages (id) ON DELETE CASCADE,
  advisory TEXT NOT NULL,
  ordinal INTEGER NOT NULL, -- counts up where one advisory applies to one package more than once
  severity INTEGER NOT NULL,
  cvss_score REAL,
  cvss_vector TEXT,
  cves TEXT NOT NULL, -- JSON array
  summary TEXT NOT NULL,
  installed_version TEXT NOT NULL,
  fixed_version TEXT,
  evidence TEXT NOT NULL, -- JSON object
  UNIQUE (package_id, advisory, ordinal)
) STRICT;
