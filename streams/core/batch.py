"""One event of a stage's Faust channel: a batch on its way through the stage, and the answer the source waits for."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from schemas.errors import Unavailable
from streams.core.stage import Message, Settlement, Stage


class Batch:
    """Messages for a stage, and what comes of them."""

    def __init__(self, stage: Stage, messages: Sequence[Message]) -> None:
        self._stage, self.messages = stage, messages
        self.answered: asyncio.Future[Settlement] = asyncio.get_running_loop().create_future()

    async def put_through(self) -> int:
        """Let the stage process the batch; the source hears of what comes of it. Return the number of messages."""
        try:
            settlement = await self._stage.process(self.messages)
        except asyncio.CancelledError:
            self._answer(Unavailable("the agent was restarted"))
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, the source retries and bisects; Faust would drop it
            self._answer(error)
        else:
            self._answer(settlement)
        return len(self.messages)

    def _answer(self, answer: Settlement | Exception) -> None:
        if self.answered.done():
            return
        if isinstance(answer, Exception):
            self.answered.set_exception(answer)
        else:
            self.answered.set_result(answer)
