from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import anyio
import orjson
import pytest

from spapi_async.errors import JobError, TransferError
from spapi_async.jobs.attachments import AttachmentError, AttachmentFiles, InMemory, Uploader
from spapi_async.jobs.kinds import KINDS
from spapi_async.jobs.kinds.attachments import MOST_BYTES, Attachment, check_file, check_total, read
from spapi_async.jobs.row import Row
from spapi_async.jobs.source import Entry
from spapi_async.operation import Call, Reply
from spapi_async.uploads import content_md5

KIND = KINDS["invoice"]
PDF = b"%PDF-1.7 an invoice"
HEADS = {
    "txt": b"plain",
    "pdf": PDF,
    "doc": bytes.fromhex("d0cf11e0a1b11ae1"),
    "docx": b"PK\x03\x04",
    "jpg": b"\xff\xd8\xff\xe0",
    "jpeg": b"\xff\xd8\xff\xe0",
    "gif": b"GIF89a",
    "png": b"\x89PNG\r\n\x1a\n",
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        (" a.pdf ", [("a.pdf", "a.pdf")]),
        ("in/a.pdf;C:\\b\\c.png;", [("in/a.pdf", "a.pdf"), ("C:\\b\\c.png", "c.png")]),
        ("a.pdf | Invoice 7.pdf ; b.pdf", [("a.pdf", "Invoice 7.pdf"), ("b.pdf", "b.pdf")]),
        ('["a.pdf", "b.pdf|c.pdf"]', [("a.pdf", "a.pdf"), ("b.pdf", "c.pdf")]),
        ('[{"path": "a;b|c.pdf", "name": "d.pdf"}]', [("a;b|c.pdf", "d.pdf")]),
        ('[{"path": "x/a;b.pdf"}]', [("x/a;b.pdf", "a;b.pdf")]),
    ],
)
def test_the_column_is_read(text: str, expected: list[tuple[str, str]]) -> None:
    """Paths are separated by semicolons, a name for the buyer follows a bar; a JSON array can hold any path."""
    assert read(text) == [Attachment(*pair) for pair in expected]


@pytest.mark.parametrize("text", ["|a.pdf", "a.pdf;|b", "[1]", "[{}]", '[{"path": ""}]', '[{"file": "a"}]', "[a.pdf"])
def test_a_column_that_cannot_be_read(text: str) -> None:
    """What is neither form is an error that says so."""
    with pytest.raises(ValueError, match=r"holds|must hold|begins"):
        read(text)


@pytest.mark.parametrize("ending", HEADS)
def test_types_that_amazon_takes(ending: str) -> None:
    """The first bytes decide whether a file is what its extension says; upper case is the same."""
    for path in (f"a.{ending}", f"a.{ending.upper()}"):
        assert not check_file(1, Attachment(path, path), 9, HEADS[ending])
    wrong = PDF if ending != "pdf" else b"GIF89a"
    if ending != "txt":
        [mistake] = check_file(2, Attachment(f"a.{ending}", f"a.{ending}"), 9, wrong)
        assert mistake.reason == f"file 2 is no {ending} inside"


@pytest.mark.parametrize(
    ("attachment", "size", "words"),
    [
        (Attachment("a", "a"), 9, "no extension"),
        (Attachment("a.exe", "a.exe"), 9, "ends in 'exe'"),
        (Attachment("a.pdf", "a"), 9, "no extension"),
        (Attachment("a.pdf", "a.png"), 9, "is a pdf and is to be shown as a png"),
        (Attachment("a.pdf", "a.pdf"), 0, "is empty"),
        (Attachment("a.pdf", "x" * 252 + ".pdf"), 9, "cannot be shown"),
        (Attachment("a.pdf", "x\n.pdf"), 9, "cannot be shown"),
        (Attachment("a.txt", "a.txt"), 9, "is no txt inside"),
    ],
)
def test_a_file_that_amazon_does_not_take(attachment: Attachment, size: int, words: str) -> None:
    """Extension, name and content must suit each other, and the mistake holds no name."""
    [mistake] = check_file(1, attachment, size, b"a\x00" if attachment.path == "a.txt" else PDF)
    assert words in mistake.reason
    assert attachment.name not in str(mistake) or len(attachment.name) == 1


def test_the_files_of_a_row_have_a_size_together() -> None:
    """All of them together must be below 10 MB."""
    assert not check_total([MOST_BYTES - 2, 1])
    [mistake] = check_total([MOST_BYTES - 1, 1])
    assert "10.0 MB" in mistake.reason


def entry(attachments: str) -> Entry:
    fields = {"order_id": "902-1845936-5435065", "marketplace_id": "A1PA6795UKMFR9", "attachments": attachments}
    return Entry(number=2, fields=fields, row=KIND.row(2, fields))


def test_files_that_are_there_are_summed(tmp_path: Path) -> None:
    """A row gets the sums of its files, so a file that was mended makes it a changed row."""
    (tmp_path / "a.pdf").write_bytes(PDF)
    files = AttachmentFiles(tmp_path)
    before = files.checked(entry(f"a.pdf;{tmp_path}/a.pdf")).row
    assert before
    assert before.body["attachments_md5"] == f"{content_md5(PDF)} {content_md5(PDF)}"
    (tmp_path / "a.pdf").write_bytes(PDF + b"!")
    after = files.checked(entry("a.pdf")).row
    assert after
    assert after.body["attachments_md5"] == content_md5(PDF + b"!")


@pytest.mark.parametrize(
    ("attachments", "words"),
    [
        ("missing.pdf", "file 1 cannot be read: No such file or directory"),
        ("folder.pdf", "file 1 cannot be read: it is no file"),
        ("pipe.pdf", "file 1 cannot be read: it is no file"),
        ("a.pdf;picture.pdf", "file 2 is no pdf inside"),
        ('["a\\u0000.pdf"]', "file 1 cannot be read"),
        ("large.txt", "the files have 10.0 MB together"),
    ],
)
def test_files_that_cannot_be_sent_are_mistakes(tmp_path: Path, attachments: str, words: str) -> None:
    """Before anything is sent, each file must be there, be one, and be of a type and size that Amazon takes."""
    (tmp_path / "a.pdf").write_bytes(PDF)
    (tmp_path / "picture.pdf").write_bytes(HEADS["png"])
    (tmp_path / "folder.pdf").mkdir()
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe.pdf")
    with (tmp_path / "large.txt").open("wb") as file:
        file.write(b"x" * 2000)
        file.truncate(MOST_BYTES)
    found = AttachmentFiles(tmp_path).checked(entry(attachments))
    assert found.row is None
    reasons = [mistake.reason for mistake in found.mistakes]
    if attachments == "large.txt":
        assert words in reasons[-1]
    else:
        assert any(words in reason for reason in reasons)
        assert not any("missing" in reason for reason in reasons)


def test_rows_without_attachments_are_left_alone(tmp_path: Path) -> None:
    """A row of a kind that needs no file is what it was; so is a line with mistakes."""
    fields = {"order_id": "902-1", "marketplace_id": "A1PA6795UKMFR9", "text": "hi"}
    plain = Entry(number=2, fields=fields, row=KINDS["digitalAccessKey"].row(2, fields))
    bad = Entry(number=3, fields=fields)
    files = AttachmentFiles(tmp_path)
    assert (files.checked(plain), files.checked(bad)) == (plain, bad)


class Storage:
    """Stands for Amazon: gives destinations, and takes bytes as told."""

    def __init__(self, *answers: Exception | None) -> None:
        self.asked: list[str] = []
        self.stored: list[bytes] = []
        self._answers = [*answers]

    async def send(self, call: Call) -> Reply:
        await anyio.lowlevel.checkpoint()
        self.asked.append(call.target)
        payload = {"uploadDestinationId": f"id-{len(self.asked)}", "url": "https://s3/x", "headers": None}
        return Reply(status=201, headers={}, body=orjson.dumps({"payload": payload}))

    async def transfer(
        self, method: str, url: str, headers: Mapping[str, str] | None = None, body: bytes = b"", *, attempt: int = 1
    ) -> Reply:
        await anyio.lowlevel.checkpoint()
        answer = self._answers.pop(0) if self._answers else None
        if answer is not None:
            raise answer
        self.stored.append(body)
        return Reply(status=200, headers={}, body=b"")


def rows(tmp_path: Path, contents: Iterable[str]) -> list[Row]:
    (tmp_path / "a.pdf").write_bytes(PDF)
    (tmp_path / "b.pdf").write_bytes(PDF)
    (tmp_path / "c.pdf").write_bytes(PDF + b"!")
    files = AttachmentFiles(tmp_path)
    checked = [files.checked(entry(text)).row for text in contents]
    return [row for row in checked if row is not None]


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.mark.anyio
async def test_the_same_content_is_uploaded_once(tmp_path: Path) -> None:
    """For one order and kind, rows and files of the same content share an upload, also when they come together."""
    amazon = Storage()
    uploader = Uploader(amazon.send, amazon.transfer, AttachmentFiles(tmp_path))
    results = []

    async def one(row: Row) -> None:
        results.append(await uploader(KIND, row))

    async with anyio.create_task_group() as group:
        for row in rows(tmp_path, ["a.pdf;b.pdf|other.pdf", "a.pdf", "c.pdf"]):
            group.start_soon(one, row)
    assert sorted(amazon.stored) == [PDF, PDF + b"!"]
    assert {len(uploaded) for uploaded in results} == {1, 2}
    [two] = [uploaded for uploaded in results if len(uploaded) == 2]
    assert two[0].upload_id == two[1].upload_id
    assert [one.name for one in two] == ["a.pdf", "other.pdf"]


@pytest.mark.anyio
async def test_the_uploads_of_a_job_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many selling partners a job has, their uploaders remember so many uploads together; each its own."""
    monkeypatch.setattr("spapi_async.jobs.attachments._MOST_KEPT", 3)
    amazon, shared = Storage(), InMemory()
    uploaders = [Uploader(amazon.send, amazon.transfer, AttachmentFiles(tmp_path), shared) for _ in range(4)]
    [row] = rows(tmp_path, ["a.pdf"])
    for uploader in [*uploaders, *reversed(uploaders)]:
        await uploader(KIND, row)
    assert len(shared.uploads) == 3
    assert len(amazon.stored) == 5  # the first one's is forgotten, the others' are not


@pytest.mark.anyio
async def test_an_upload_that_amazon_does_not_know_is_done_anew(tmp_path: Path) -> None:
    """When Amazon says that an attachment does not exist, both steps are done again."""
    amazon = Storage()
    uploader = Uploader(amazon.send, amazon.transfer, AttachmentFiles(tmp_path))
    [row] = rows(tmp_path, ["a.pdf"])
    first = await uploader(KIND, row)
    again = await uploader(KIND, row)
    anew = await uploader(KIND, row, anew=True)
    assert [one[0].upload_id for one in (first, again, anew)] == ["id-1", "id-1", "id-2"]


@pytest.mark.anyio
async def test_a_file_that_changed_is_not_sent(tmp_path: Path) -> None:
    """What was looked at is what is sent: a file that was changed or removed since is an error."""
    amazon = Storage()
    uploader = Uploader(amazon.send, amazon.transfer, AttachmentFiles(tmp_path))
    changed, gone = rows(tmp_path, ["a.pdf", "c.pdf"])
    (tmp_path / "a.pdf").write_bytes(b"%PDF another")
    (tmp_path / "c.pdf").unlink()
    with pytest.raises(AttachmentError, match="attachment 1 was changed"):
        await uploader(KIND, changed)
    with pytest.raises(AttachmentError, match="attachment 1 cannot be read"):
        await uploader(KIND, gone)
    assert not amazon.stored


@pytest.mark.anyio
async def test_a_failed_upload_is_not_kept(tmp_path: Path) -> None:
    """After an upload that failed, the next row tries anew."""
    amazon = Storage(TransferError(status=400, code="BadDigest"))
    uploader = Uploader(amazon.send, amazon.transfer, AttachmentFiles(tmp_path))
    [row] = rows(tmp_path, ["a.pdf"])
    with pytest.raises(TransferError):
        await uploader(KIND, row)
    assert [one.upload_id for one in await uploader(KIND, row)] == ["id-2"]


@pytest.mark.anyio
async def test_files_must_have_been_looked_at(tmp_path: Path) -> None:
    """A row whose files nobody looked at is a mistake of the program."""
    amazon = Storage()
    uploader = Uploader(amazon.send, amazon.transfer, AttachmentFiles(tmp_path))
    row = entry("a.pdf").row
    assert row
    with pytest.raises(JobError, match="without looking at its files"):
        await uploader(KIND, row)
