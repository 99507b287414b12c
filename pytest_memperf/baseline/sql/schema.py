"""The tables as they are today; ``migrations`` makes them."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Index, Integer, MetaData, Table, Text

TABLES = MetaData()
# One row: how many of the migrations the database has had.
VERSION = Table("memperf_version", TABLES, Column("version", Integer, nullable=False))
PLATFORM = Table(
    "memperf_platform",
    TABLES,
    Column("id", Integer, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("last", Integer, nullable=False),  # number that was given; its row's lock makes it nobody else's
)
RUN = Table(
    "memperf_run",
    TABLES,
    Column("id", Integer, primary_key=True),
    Column("platform_id", ForeignKey(PLATFORM.c.id), nullable=False),
    Column("number", Integer),  # NULL only within the transaction that saves the run
    Column("head", Text, nullable=False),  # JSON: what a file of results has before its results
    Column("tail", Text, nullable=False),  # JSON: what it has after them
    Index("memperf_run_number", "platform_id", "number", unique=True),
)
TEST = Table(
    "memperf_test",
    TABLES,
    Column("id", Integer, primary_key=True),
    Column("digest", Text, nullable=False, unique=True),  # of the id, which may be longer than an index takes
    Column("name", Text, nullable=False),
)
RESULT = Table(
    "memperf_result",
    TABLES,
    # The run first: the results of a run stand together in the index, which makes saving as fast as at the beginning.
    Column("run_id", ForeignKey(RUN.c.id), primary_key=True),
    Column("test_id", ForeignKey(TEST.c.id), primary_key=True),
    Column("place", Integer, primary_key=True),
    Column("data", Text, nullable=False),  # JSON: the result
)
