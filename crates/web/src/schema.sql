-- Portable between SQLite and PostgreSQL: TEXT, BIGINT and CHECK only; times are milliseconds since 1970.
CREATE TABLE IF NOT EXISTS meta (
  name TEXT PRIMARY KEY,
  value TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS battles (
  id TEXT PRIMARY KEY,
  voter TEXT NOT NULL,
  created BIGINT NOT NULL,
  medium TEXT NOT NULL CHECK (medium IN ('text', 'image', 'video')),
  prompt TEXT NOT NULL,
  model_a TEXT NOT NULL,
  model_b TEXT NOT NULL,
  gold TEXT NOT NULL CHECK (gold IN ('', 'model_a', 'model_b')),
  nonce TEXT NOT NULL,
  commitment TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('asked', 'ready', 'failed')),
  ready BIGINT NOT NULL,
  answer_a TEXT NOT NULL,
  answer_b TEXT NOT NULL,
  masked_a BIGINT NOT NULL CHECK (masked_a IN (0, 1)),
  masked_b BIGINT NOT NULL CHECK (masked_b IN (0, 1)),
  failure TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS votes (
  seq BIGINT PRIMARY KEY,
  battle TEXT NOT NULL UNIQUE REFERENCES battles (id),
  voter TEXT NOT NULL,
  cast_at BIGINT NOT NULL,
  winner TEXT NOT NULL CHECK (winner IN ('model_a', 'model_b', 'tie', 'tie (bothbad)')),
  record TEXT NOT NULL,
  hash TEXT NOT NULL UNIQUE
);
CREATE INDEX IF NOT EXISTS votes_by_voter ON votes (voter);
