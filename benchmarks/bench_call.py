"""CPU per call: `get_orders` through the whole client, beside bare httpx and bare aiohttp, in one run.

    python benchmarks/bench_call.py

All three send the same GET to the same static server on loopback, in another process: 1 in flight, then 32 at a time as
in a busy service. Ours does all that a user's call does: usage plan, access token, retry stage, and decoding into typed
models. The other two only read the body. What is measured is the CPU time of this process per call; each round measures
all three, and the median over the rounds is printed.
"""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
import statistics
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from multiprocessing.connection import Connection

import aiohttp
import httpx

from spapi_async import Marketplace, SellingPartner, UsagePlan
from spapi_async.cli.bench import machine

ORDER = (
    b'{"payload":{"Orders":[{"AmazonOrderId":"902-1845936-5435065","PurchaseDate":"2026-01-02T03:04:05Z",'
    b'"LastUpdateDate":"2026-01-02T03:04:05Z","OrderStatus":"Unshipped","FulfillmentChannel":"MFN",'
    b'"SalesChannel":"Amazon.com","ShipServiceLevel":"Std US D2D Dom","OrderTotal":{"CurrencyCode":"USD",'
    b'"Amount":"11.01"},"NumberOfItemsShipped":0,"NumberOfItemsUnshipped":1,"PaymentMethod":"Other",'
    b'"PaymentMethodDetails":["Standard"],"MarketplaceId":"ATVPDKIKX0DER","ShipmentServiceLevelCategory":"Standard",'
    b'"OrderType":"StandardOrder","EarliestShipDate":"2026-01-03T08:00:00Z","LatestShipDate":"2026-01-05T07:59:59Z",'
    b'"IsBusinessOrder":false,"IsPrime":false,"IsGlobalExpressEnabled":false,"IsPremiumOrder":false,"IsSoldByAB":false,'
    b'"IsIBA":false,"ShippingAddress":{"Name":"X","StateOrRegion":"WA","PostalCode":"98109","City":"Seattle",'
    b'"CountryCode":"US"},"BuyerInfo":{"BuyerEmail":"x@marketplace.amazon.com"}}]}}'
)
TOKEN = b'{"access_token":"Atza|x","token_type":"bearer","expires_in":3600}'
HEADERS = {"x-amz-access-token": "Atza|x", "user-agent": "bench/1 (Language=Python)", "accept": "application/json"}
TARGET = "/orders/v0/orders?MarketplaceIds=ATVPDKIKX0DER&CreatedAfter=2026-01-01T00%3A00%3A00Z"
ROUNDS, CALLS = 9, 640
IN_FLIGHT = (1, 32)


class StaticServer(asyncio.Protocol):
    """Answers every request at once with the same bytes; it costs next to nothing itself."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the connection."""
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer; a request of these benchmarks always comes in one piece."""
        body = TOKEN if data.startswith(b"POST") else ORDER
        assert isinstance(self.transport, asyncio.WriteTransport)
        self.transport.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-amzn-RequestId: 1\r\n"
            b"x-amzn-RateLimit-Limit: 1000000.0\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)
        )


def serve(ready: Connection) -> None:
    """Run the server until the process is ended; its port goes through the pipe."""

    async def main() -> None:
        server = await asyncio.get_running_loop().create_server(StaticServer, "127.0.0.1", 0)
        ready.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(main())


async def measure(call: Callable[[], Awaitable[object]], in_flight: int) -> float:
    """Return the CPU seconds per call of one round."""

    async def work() -> None:
        for _ in range(CALLS // in_flight):
            await call()

    await asyncio.gather(*[call() for _ in range(in_flight)])  # connections, imports, the token
    began = time.process_time()
    await asyncio.gather(*[work() for _ in range(in_flight)])
    return (time.process_time() - began) / CALLS


async def compare(endpoint: str, in_flight: int) -> dict[str, list[float]]:
    """Measure all contenders, round by round."""
    results: dict[str, list[float]] = {"spapi_async": [], "httpx.AsyncClient": [], "aiohttp": []}
    after = datetime(2026, 1, 1, tzinfo=UTC)
    async with (
        SellingPartner(
            client_id="bench",
            client_secret="bench",
            refresh_token="Atzr|BENCH",
            endpoint=endpoint,
            lwa_endpoint=endpoint + "/auth/o2/token",
            plans={"orders_v0.get_orders": UsagePlan(1_000_000, 1_000_000)},
        ) as sp,
        httpx.AsyncClient(headers=HEADERS) as httpx_client,
        aiohttp.ClientSession(headers=HEADERS) as session,
    ):

        async def ours() -> None:
            reply = await sp.orders_v0.get_orders(marketplace_ids=[Marketplace.US], created_after=after)
            assert reply.payload is not None
            assert reply.payload.orders[0].amazon_order_id == "902-1845936-5435065"

        async def by_httpx() -> None:
            response = await httpx_client.get(endpoint + TARGET)
            assert response.content == ORDER

        async def by_aiohttp() -> None:
            async with session.get(endpoint + TARGET) as response:
                assert await response.read() == ORDER

        gc.collect()
        gc.freeze()
        for _ in range(ROUNDS):
            for name, call in zip(results, (ours, by_httpx, by_aiohttp), strict=True):
                results[name].append(await measure(call, in_flight))
    return results


def main() -> None:
    """Run the comparison and print it."""
    receiving, sending = multiprocessing.Pipe(duplex=False)
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(sending,), daemon=True)
    server.start()
    print(machine())
    try:
        endpoint = f"http://127.0.0.1:{receiving.recv()}"
        for in_flight in IN_FLIGHT:
            show(asyncio.run(compare(endpoint, in_flight)), in_flight)
    finally:
        server.terminate()


def show(results: dict[str, list[float]], in_flight: int) -> None:
    """Print the medians, and what ours is of each."""
    print(f"CPU per call, {in_flight} in flight, median of {ROUNDS} rounds of {CALLS} calls:")
    ours = statistics.median(results["spapi_async"])
    for name, values in results.items():
        median, low, high = (value * 1e6 for value in (statistics.median(values), min(values), max(values)))
        print(
            f"  {name:18} {median:6.0f} us  ({low:.0f}-{high:.0f})   spapi_async costs {ours * 1e6 / median:.2f}x of it"
        )


if __name__ == "__main__":
    main()
