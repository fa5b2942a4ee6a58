"""The test teacher's batch routes speak with the official client: what passes against them is in its form."""

from __future__ import annotations

import json

from openai import AsyncOpenAI

from streams.label.teacher.batches import form
from tests.streams.label.teacher.server import completion, never, says, teacher_server

REQUEST = {"model": "teacher", "messages": [{"role": "user", "content": "A = mergers\nB = other\n<text>\nx\n</text>"}]}


async def test_batch_routes__for_the_official_client() -> None:
    """Files up, a batch made, looked at and listed page by page, answers and errors down, and our reading agrees."""
    async with teacher_server(says("mergers"), never()) as server:
        client = AsyncOpenAI(base_url=server.url, api_key="key", max_retries=0)
        lines = form.request_line("a", REQUEST) + form.request_line("b", REQUEST)
        file = await client.files.create(file=("x.jsonl", lines), purpose="batch")
        made = [
            await client.batches.create(
                input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h", metadata={"n": str(n)}
            )
            for n in range(3)
        ]
        batch = await client.batches.retrieve(made[0].id)
        listed = [one.id async for one in client.batches.list(limit=100)]
        said = (await client.files.content(batch.output_file_id or "")).content
        wrong = (await client.files.content(batch.error_file_id or "")).content
        sent = (await client.files.content(batch.input_file_id)).content
        found = form.batch_status(json.loads(batch.to_json()))
        await client.close()

    assert listed == [one.id for one in reversed(made)]
    assert found is not None
    assert (
        (found.id, found.status, found.metadata)
        == (batch.id, batch.status, {"n": "0"})
        == ("batch-0", "expired", {"n": "0"})
    )
    assert (found.input_file, found.answer_files) == (file.id, (batch.output_file_id, batch.error_file_id))
    assert form.custom_ids(sent) == ["a", "b"]
    assert form.answers(said)["a"].body()["model"] == completion("A")["model"]
    assert form.answers(wrong)["b"].status == 0
