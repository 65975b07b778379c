-- What the machine's last report could not read, a line each. Empty when the report is complete.
ALTER TABLE machines ADD COLUMN problems TEXT NOT NULL DEFAULT '';

-- 1: at matched_revision the set has more findings than are kept for one; the packages after that were not matched for it.
ALTER TABLE package_sets ADD COLUMN is_over INTEGER NOT NULL DEFAULT 0;
