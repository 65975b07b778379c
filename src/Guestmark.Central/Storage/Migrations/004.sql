-- The repository that a package came from decides with which products it is matched. What was stored before names none.
CREATE TABLE repositories (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL,
  evidence INTEGER NOT NULL, -- RepositoryEvidence; 0: none
  cpes TEXT NOT NULL, -- a line each
  UNIQUE (name, evidence, cpes)
) STRICT;
-- Of packages without one; it is never deleted.
INSERT INTO repositories (id, name, evidence, cpes) VALUES (0, '', 0, '');

-- What packages were matched with. They refer to a row, so that all of them take a new revision at once when that changes nothing for them.
CREATE TABLE revisions (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  revision TEXT NOT NULL, -- of rules and advisory database
  since INTEGER NOT NULL
) STRICT;

-- Tables are made anew because a constraint cannot be changed. Everything is matched again; ids, which are in URLs, stay.
CREATE TABLE packages_4 (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  distribution_id INTEGER NOT NULL REFERENCES distributions (id),
  manager INTEGER NOT NULL,
  name TEXT NOT NULL,
  version TEXT NOT NULL, -- [epoch:]version[-release]
  arch TEXT NOT NULL,
  module TEXT NOT NULL,
  source_name TEXT NOT NULL,
  source_version TEXT NOT NULL,
  repository_id INTEGER NOT NULL DEFAULT 0 REFERENCES repositories (id),
  matched_with INTEGER, -- revisions.id; null: to be matched
  failed INTEGER NOT NULL DEFAULT 0, -- 1: the matcher failed on the package; its findings are those of an earlier match
  critical INTEGER NOT NULL DEFAULT 0, -- findings, so that sets are counted without reading them
  important INTEGER NOT NULL DEFAULT 0,
  moderate INTEGER NOT NULL DEFAULT 0,
  low INTEGER NOT NULL DEFAULT 0,
  unknown INTEGER NOT NULL DEFAULT 0,
  UNIQUE (distribution_id, manager, name, version, arch, module, source_name, source_version, repository_id)
) STRICT;
INSERT INTO packages_4 (id, distribution_id, manager, name, version, arch, module, source_name, source_version)
SELECT id, distribution_id, manager, name, version, arch, module, source_name, source_version FROM packages;
UPDATE sqlite_sequence SET seq = (SELECT seq FROM sqlite_sequence WHERE name = 'packages') WHERE name = 'packages_4';

CREATE TABLE package_set_members_4 (
  set_id INTEGER NOT NULL REFERENCES package_sets (id) ON DELETE CASCADE,
  package_id INTEGER NOT NULL REFERENCES packages_4 (id),
  PRIMARY KEY (set_id, package_id)
) STRICT, WITHOUT ROWID;
INSERT INTO package_set_members_4 SELECT set_id, package_id FROM package_set_members;

CREATE TABLE findings_4 (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  package_id INTEGER NOT NULL REFERENCES packages_4 (id) ON DELETE CASCADE,
  feed TEXT NOT NULL,
  advisory TEXT NOT NULL,
  ordinal INTEGER NOT NULL, -- counts up where one advisory applies to one package more than once
  status INTEGER NOT NULL, -- ProductStatus
  severity INTEGER NOT NULL,
  cvss_score REAL,
  cvss_vector TEXT,
  cves TEXT NOT NULL, -- JSON array
  summary TEXT NOT NULL,
  installed_version TEXT NOT NULL,
  fixed_version TEXT,
  erratum TEXT,
  erratum_url TEXT,
  remark TEXT,
  justification TEXT,
  evidence TEXT NOT NULL, -- JSON object
  UNIQUE (package_id, advisory, ordinal)
) STRICT;
INSERT INTO findings_4 (
  id, package_id, feed, advisory, ordinal, status, severity, cvss_score, cvss_vector, cves, summary, installed_version, fixed_version, evidence)
SELECT id, package_id, 'osv', advisory, ordinal, iif(fixed_version IS NULL, 2, 1), severity, cvss_score, cvss_vector, cves, summary, installed_version,
  fixed_version, evidence
FROM findings;
UPDATE sqlite_sequence SET seq = (SELECT seq FROM sqlite_sequence WHERE name = 'findings') WHERE name = 'findings_4';

DROP TABLE findings;
DROP TABLE package_set_members;
DROP TABLE packages;
ALTER TABLE packages_4 RENAME TO packages;
ALTER TABLE package_set_members_4 RENAME TO package_set_members;
ALTER TABLE findings_4 RENAME TO findings;
UPDATE packages SET (critical, important, moderate, low, unknown) = (
  SELECT count(*) FILTER (WHERE f.severity = 4), count(*) FILTER (WHERE f.severity = 3), count(*) FILTER (WHERE f.severity = 2),
    count(*) FILTER (WHERE f.severity = 1), count(*) FILTER (WHERE f.severity = 0)
  FROM findings f WHERE f.package_id = packages.id);
CREATE INDEX packages_by_repository ON packages (repository_id);
CREATE INDEX packages_failed ON packages (id) WHERE failed = 1;
CREATE INDEX package_set_members_by_package ON package_set_members (package_id);

DROP INDEX package_sets_by_revision;
ALTER TABLE package_sets DROP COLUMN matched_revision;
ALTER TABLE package_sets ADD COLUMN matched_with INTEGER; -- revisions.id, of the counts
CREATE INDEX package_sets_by_match ON package_sets (matched_with);

-- Every name by which a statement can be about a package. Written when it is matched.
CREATE TABLE package_names (
  name TEXT NOT NULL,
  package_id INTEGER NOT NULL REFERENCES packages (id) ON DELETE CASCADE,
  PRIMARY KEY (name, package_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX package_names_by_package ON package_names (package_id);

-- EPSS and KEV are those of the database in use.
CREATE TABLE cves (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL COLLATE NOCASE UNIQUE,
  epss REAL,
  percentile REAL,
  kev INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE finding_cves (
  finding_id INTEGER NOT NULL REFERENCES findings (id) ON DELETE CASCADE,
  cve_id INTEGER NOT NULL REFERENCES cves (id),
  PRIMARY KEY (finding_id, cve_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX finding_cves_by_cve ON finding_cves (cve_id);
INSERT OR IGNORE INTO cves (name) SELECT DISTINCT value FROM findings, json_each(findings.cves);
INSERT OR IGNORE INTO finding_cves (finding_id, cve_id) SELECT f.id, c.id FROM findings f, json_each(f.cves) j JOIN cves c ON c.name = j.value;

ALTER TABLE machines ADD COLUMN running_kernel TEXT NOT NULL DEFAULT ''; -- uname -r; '' when the last report does not say
