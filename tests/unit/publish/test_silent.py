"""An edge without a broker: nothing piles up, and its store's troubles are not the line's."""

from tests.unit.publish.samples import line_entries

from qc.domain.errors import StoreError
from qc.domain.record import OutboxDepth, OutboxRow
from qc.publish.silent import SilentPublisher
from qc.record.fake import MemoryRecordStore


class LockedStore(MemoryRecordStore):
    locked = False

    def pending(self, after_seq: int, limit: int) -> list[OutboxRow]:
        if self.locked:
            raise StoreError("database is locked")
        return super().pending(after_seq, limit)

    def depth(self) -> OutboxDepth:
        if self.locked:
            raise StoreError("database is locked")
        return super().depth()


def test_every_event_is_settled_at_the_start_and_at_each_wake() -> None:
    store = MemoryRecordStore()
    store.append(line_entries(1200))
    publisher = SilentPublisher(store)
    publisher.start()
    assert store.depth().rows == 0
    store.append(line_entries(3))
    publisher.wake()
    assert store.depth().rows == 0
    assert publisher.status().depth == store.depth()
    assert not publisher.status().connected
    publisher.state("line", {"state": "running"})
    publisher.close()


def test_a_store_that_cannot_be_written_is_tried_again_later() -> None:
    store = LockedStore()
    store.append(line_entries(2))
    publisher = SilentPublisher(store)
    store.locked = True
    publisher.start()
    publisher.wake()
    assert publisher.status().depth is None
    store.locked = False
    publisher.wake()
    assert store.depth().rows == 0
