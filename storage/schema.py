"""The tables of a journal's file. Tables of results are made from their columns, see ``storage.sheets``."""

FORMAT = 2
"""Kept in the file's ``user_version``; a file of another format is refused."""

SCHEMA = """
create table position (
    one integer primary key check (one = 1),
    journalled integer not null,  -- the newest commit
    derived integer not null,     -- the newest commit whose results are stored
    change integer not null,      -- the newest change of a result
    basis text not null           -- names what the stored results rest on besides the readings: registry and rules
);
insert into position values (1, 0, 0, 0, '');

create table assets (
    number integer primary key,
    district text not null,
    kind text not null,
    name text not null,
    unique (district, kind, name)
);

-- Hot rows: the tables of a commit, as they came.
create table batches (
    id integer primary key,
    commit_number integer not null,
    measurement text not null,
    rows integer not null,
    from_ms integer not null,
    to_ms integer not null,  -- the newest row's time itself
    body blob not null
);
create index batches_by_time on batches (measurement, from_ms, to_ms);
create index batches_by_commit on batches (commit_number, rows);

-- Sealed rows: one asset's UTC day, distinct and sorted, conflict losers included.
create table blocks (
    id integer primary key,
    measurement text not null,
    asset integer not null,
    day integer not null,  -- days since 1970-01-01
    rows integer not null,
    identities integer not null,
    from_ms integer not null,
    to_ms integer not null,
    body blob not null
);
create unique index blocks_by_day on blocks (measurement, asset, day);

create table received (
    measurement text primary key,
    rows integer not null
);

create table dead_letters (
    id integer primary key,
    received_ms integer not null,
    topic text not null,
    reason text not null,
    detail text not null,
    payload blob not null,
    size integer not null,
    sha256 text not null
);
create index dead_letters_by_reason on dead_letters (reason);

-- Rows whose clock ran ahead. The content is part of the key: two contents under one identity are both kept.
create table quarantine (
    measurement text not null,
    asset integer not null,
    t_ms integer not null,
    seq integer not null,
    content text not null,  -- JSON, not measured is null
    received_ms integer not null,
    hist integer not null,
    primary key (measurement, asset, t_ms, seq, content)
) without rowid;

create table status (
    part text primary key,
    state text not null,  -- JSON
    updated_ms integer not null
);
"""
