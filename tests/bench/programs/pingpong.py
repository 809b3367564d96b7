"""asyncio: pairs of coroutines that play ping-pong over queues, with a referee who counts."""

import asyncio


class Player:
    def __init__(self, inbox, outbox, referee):
        self.inbox = inbox
        self.outbox = outbox
        self.referee = referee

    async def hit(self, ball):
        await self.outbox.put(ball + 1)

    async def play(self, rallies):
        for _ in range(rallies):
            ball = await self.inbox.get()
            await self.referee.count(ball)
            await self.hit(ball)


class Referee:
    def __init__(self):
        self.lock = asyncio.Lock()
        self.balls = 0
        self.sum = 0

    async def count(self, ball):
        async with self.lock:
            self.balls += 1
            self.sum += ball
            if self.balls % 50 == 0:
                await asyncio.sleep(0)


async def match(referee, rallies):
    left, right = asyncio.Queue(), asyncio.Queue()
    players = [Player(left, right, referee), Player(right, left, referee)]
    tasks = [asyncio.ensure_future(player.play(rallies)) for player in players]
    await left.put(0)
    await asyncio.gather(*tasks)


async def tournament(tables, rallies):
    referee = Referee()
    await asyncio.gather(*[match(referee, rallies) for _ in range(tables)])
    return referee


def run():
    # asyncio.run came with 3.7.
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        referee = loop.run_until_complete(tournament(20, 75))
    finally:
        asyncio.set_event_loop(None)
        loop.close()
    return "%d balls, %d" % (referee.balls, referee.sum)
