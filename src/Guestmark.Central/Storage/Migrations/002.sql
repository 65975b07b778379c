-- When the stream moved last, by Central's clock. Of streams that were there before, nothing earlier is known than now.
ALTER TABLE streams ADD COLUMN moved_at INTEGER NOT NULL DEFAULT 0;
UPDATE streams SET moved_at = CAST(strftime('%s', 'now') AS INTEGER) * 1000;
CREATE INDEX reports_by_stream ON reports (stream_id);

-- 1: the matcher failed on the package with matched_revision; its findings are those of an earlier match.
ALTER TABLE packages ADD COLUMN failed INTEGER NOT NULL DEFAULT 0;
CREATE INDEX packages_failed ON packages (id) WHERE failed = 1;
-- Packages of the set that failed at matched_revision.
ALTER TABLE package_sets ADD COLUMN failed INTEGER NOT NULL DEFAULT 0;

-- What the set costs: the UTF-8 text of its packages, and 64 for the rows of each.
ALTER TABLE package_sets ADD COLUMN bytes INTEGER NOT NULL DEFAULT 0;
UPDATE package_sets SET bytes = 64 * package_count + coalesce((
  SELECT sum(length(CAST(p.name AS BLOB)) + length(CAST(p.version AS BLOB)) + length(CAST(p.arch AS BLOB)) + length(CAST(p.module AS BLOB))
    + length(CAST(p.source_name AS BLOB)) + length(CAST(p.source_version AS BLOB)))
  FROM package_set_members m JOIN packages p ON p.id = m.package_id WHERE m.set_id = package_sets.id), 0);

CREATE INDEX package_sets_by_distribution ON package_sets (distribution_id);
DELETE FROM distributions WHERE id NOT IN (SELECT distribution_id FROM package_sets) AND id NOT IN (SELECT distribution_id FROM packages);
