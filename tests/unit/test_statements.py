"""Where a script's statements begin, and which of them change what outlives the job."""

from __future__ import annotations

import pytest

from penstock.statements import changes_outside, statements

ICEBERG = "CREATE CATALOG lake WITH ('type'='iceberg', 'warehouse'='s3://b/w');\n"
MEMORY = "CREATE CATALOG mem WITH ('type' = 'generic_in_memory');\n"


@pytest.mark.parametrize(
    ("script", "texts"),
    [
        ("SELECT 1; SELECT 2", ["SELECT 1", "SELECT 2"]),
        ("SELECT 'a;b' ; SELECT `c;d`;", ["SELECT 'a;b'", "SELECT `c;d`"]),
        ("SELECT 'it''s; so';", ["SELECT 'it''s; so'"]),
        ("-- a; b\nSELECT 1; /* c; 'd */ SELECT 2;", ["SELECT 1", "SELECT 2"]),
        ("SELECT /*+ OPTIONS('a'='1;2') */ 1;", ["SELECT /*+ OPTIONS('a'='1;2') */ 1"]),
        (";;\n ; SELECT 1 ;;", ["SELECT 1"]),
        ("SELECT 1 - 2 / 3;\r\n-- the end", ["SELECT 1 - 2 / 3"]),
        ("\ufeffSELECT 'größe';", ["\ufeffSELECT 'größe'"]),
        ("", []),
    ],
)
def test_the_statements_of_a_script(script, texts):
    found = list(statements(script))
    assert [each.text for each in found] == texts
    assert all(script[each.offset :].startswith(each.text.split()[0]) for each in found)
    assert all(each.after == 0 or script[each.after - 1] == ";" for each in found)


def test_the_line_of_a_statement():
    assert [each.line for each in statements("SELECT 1;\n-- x\n\n  SELECT 2;\nSELECT 3")] == [1, 4, 5]


@pytest.mark.parametrize(
    "script",
    [
        f"{ICEBERG}DROP TABLE IF EXISTS lake.db.t;",
        f"{ICEBERG}drop table lake . `db` . t;",
        f"{ICEBERG}CREATE TABLE lake.db.t (n INT);",
        f"{ICEBERG}CREATE DATABASE IF NOT EXISTS lake.db;",
        f"{ICEBERG}USE CATALOG lake; CREATE TABLE t (n INT);",
        f"{ICEBERG}USE CATALOG `lake`;\nALTER TABLE db.t SET ('a'='b');",
        f"{ICEBERG}USE CATALOG lake; TRUNCATE TABLE t;",
        f"{ICEBERG}USE CATALOG lake; CREATE OR REPLACE TABLE t AS SELECT 1;",
        ICEBERG + "DELETE FROM lake.db.t WHERE n = 1;",  # noqa: S608
        f"{ICEBERG}CALL lake.system.rollback('t', 1);",
        "DROP TABLE hive.db.t;",
        "USE hive.db; DROP TABLE t;",
        f"{ICEBERG}USE lake.db; TRUNCATE TABLE t;",
        "DROP CATALOG IF EXISTS hive;",
        "ALTER CATALOG hive SET ('a'='b');",
        "USE CATALOG hive; DROP VIEW v;",
    ],
)
def test_what_changes_a_catalog_that_outlives_the_job(script):
    """Seen in a public file: a script that drops and makes its sink's table anew at each start."""
    found = changes_outside(f"SELECT 1;\n{script}\nINSERT INTO x SELECT 1;")
    assert found is not None
    assert script.rstrip(";").split(";")[-1].split()[:2] == found.text.split()[:2]


@pytest.mark.parametrize(
    "script",
    [
        "CREATE TABLE t (n INT) WITH ('connector'='datagen'); DROP TABLE t;",
        "CREATE TEMPORARY TABLE hive.db.t (n INT); DROP TEMPORARY TABLE hive.db.t;",
        f"{MEMORY}USE CATALOG mem; CREATE DATABASE d; CREATE TABLE d.t (n INT); DROP TABLE mem.d.t;",
        f"{ICEBERG}CREATE TABLE default_catalog.default_database.t (n INT);",
        f"{ICEBERG}USE CATALOG lake; USE CATALOG default_catalog; CREATE TABLE t (n INT);",
        ICEBERG + "INSERT INTO lake.db.t VALUES (1);",  # noqa: S608
        "SELECT 'DROP TABLE hive.db.t;' FROM x; -- DROP TABLE hive.db.t;",
        "CREATE VIEW v AS SELECT * FROM hive.db.t;",
        "CREATE DATABASE d; USE d; CREATE TABLE t (n INT); USE MODULES hive; LOAD MODULE hive;",
        f"{ICEBERG}DROP CATALOG lake;",
        "SET 'a' = 'b'; RESET; SHOW TABLES; DESCRIBE t; EXPLAIN SELECT 1;",
    ],
)
def test_what_does_not(script):
    assert changes_outside(script) is None
