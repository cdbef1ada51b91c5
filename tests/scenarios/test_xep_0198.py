"""XEP-0198: Stream Management: stanzas are acknowledged, and a stream that broke goes on with a new one."""

import pytest

from aldis.core.testing.actor import Actor
from aldis.core.testing.cites import xep
from aldis.core.testing.cluster import Cluster
from aldis.core.testing.patterns import ANY
from aldis.launcher.accounts import Accounts
from tests.scenarios.conftest import Enter

NS = "urn:xmpp:sm:3"
STANZAS = "urn:ietf:params:xml:ns:xmpp-stanzas"
REQUEST = f"<r xmlns='{NS}'/>"
UNAVAILABLE = f"<service-unavailable xmlns='{STANZAS}'/>"
UNEXPECTED = f"<failed xmlns='{NS}'><unexpected-request xmlns='{STANZAS}'/></failed>"


def message(to: Actor, body: str) -> str:
    return f"<message to='{to.jid}' type='chat'><body>{body}</body></message>"


def from_(sender: Actor, body: str) -> str:
    return f"<message from='{sender.jid}' type='chat'><body>{body}</body></message>"


def knows(cluster: Cluster, h: int) -> tuple[int | None, ...]:
    """What the server may say of a session that is over: the count, unless the shard has an owner by now that never saw it."""
    return (h,) if cluster.faults is None else (h, None)


# ── enabling (§3) ──


@xep("0198", "3")
async def test_it_is_offered_to_who_has_logged_in_and_to_nobody_else(stranger: Actor) -> None:
    await stranger.connects()
    features = await stranger.opens()
    assert features.find(f"{{{NS}}}sm") is None
    await stranger.authenticates()
    features = await stranger.opens()
    assert features.find(f"{{{NS}}}sm") is not None


@xep("0198", "3")
async def test_it_is_refused_before_a_resource_is_bound(stranger: Actor) -> None:
    await stranger.connects()
    await stranger.opens()
    await stranger.sends(f"<enable xmlns='{NS}'/>")
    await stranger.receives(UNEXPECTED)
    await stranger.authenticates()
    await stranger.opens()
    await stranger.sends(f"<enable xmlns='{NS}'/>")
    await stranger.receives(UNEXPECTED)
    await stranger.binds("balcony")
    await stranger.enables()


@xep("0198", "3")
async def test_it_is_enabled_once(juliet: Actor) -> None:
    await juliet.enables()
    await juliet.sends(f"<enable xmlns='{NS}' resume='true'/>")
    await juliet.receives(UNEXPECTED)
    await juliet.sends("<presence/>")
    await juliet.is_acknowledged()


@xep("0198", "3")
@pytest.mark.simple
async def test_nothing_is_counted_before_it_is_enabled(juliet: Actor) -> None:
    await juliet.appears()
    for element in (REQUEST, f"<a xmlns='{NS}' h='1'/>"):
        await juliet.sends(element)
        await juliet.receives(UNEXPECTED)
    await juliet.receives_nothing()


@xep("0198", "3")
@pytest.mark.simple
async def test_a_request_that_makes_no_sense_is_refused(juliet: Actor) -> None:
    for wrong in ("resume='perhaps'", "max='soon'"):
        await juliet.sends(f"<enable xmlns='{NS}' {wrong}/>")
        await juliet.receives(f"<failed xmlns='{NS}'><bad-request xmlns='{STANZAS}'/></failed>")
    await juliet.enables()


@xep("0198", "3")
@pytest.mark.simple
async def test_without_resumption_there_is_no_id(juliet: Actor) -> None:
    await juliet.enables(resume=False)
    assert not juliet.counting.previd


@xep("0198", "5")
@pytest.mark.settings(sm={"resume_seconds": 60})
@pytest.mark.simple
async def test_a_client_may_want_less_time_than_there_is(juliet: Actor, romeo: Actor) -> None:
    await juliet.enables(seconds=30)
    await romeo.enables(seconds=3600)
    assert (juliet.counting.seconds, romeo.counting.seconds) == (30, 60)


@xep("0198", "5")
@pytest.mark.settings(sm={"resume_seconds": 0})
@pytest.mark.simple
async def test_an_operator_may_switch_resumption_off(juliet: Actor) -> None:
    await juliet.sends(f"<enable xmlns='{NS}' resume='true'/>")
    await juliet.receives(f"<enabled xmlns='{NS}'/>")
    await juliet.sends("<presence/>")
    await juliet.is_acknowledged()
    await juliet.vanishes()
    assert await juliet.fails_to_resume(previd="x", h=0) is None


# ── acknowledgements (§4) ──


@xep("0198", "4")
async def test_every_stanza_is_acknowledged_when_it_is_handled(juliet: Actor, romeo: Actor) -> None:
    await juliet.enables()
    await juliet.is_acknowledged()
    for number in range(25):
        await juliet.sends(message(romeo, str(number)))
    await juliet.is_acknowledged()
    for number in range(25):
        await romeo.receives(from_(juliet, str(number)))


@xep("0198", "4")
async def test_stanzas_sent_behind_the_request_are_counted(juliet: Actor, romeo: Actor) -> None:
    await juliet.sends(message(romeo, "before"))
    await juliet.sends(f"<enable xmlns='{NS}' resume='true'/>" + message(romeo, "behind") + REQUEST)
    await juliet.receives(f"<enabled xmlns='{NS}' id='{ANY}' resume='true' max='{ANY}'/>")
    await juliet.is_acknowledged()
    assert juliet.counting.acked == 1
    await romeo.receives(from_(juliet, "before"))
    await romeo.receives(from_(juliet, "behind"))


@xep("0198", "4")
async def test_what_is_answered_with_an_error_is_handled_too(juliet: Actor) -> None:
    await juliet.enables()
    await juliet.sends("<message to='@@@' id='1'/><iq type='get' id='2'/><message to='nobody@capulet.lit' id='3'><body/></message>")
    await juliet.is_acknowledged()
    assert juliet.counting.acked == 3


@xep("0198", "4")
@pytest.mark.settings(sm={"request_stanzas": 3})
async def test_the_server_asks_after_some_stanzas(juliet: Actor, romeo: Actor) -> None:
    juliet.mute = True
    await juliet.enables()
    for number in range(7):
        await romeo.sends(message(juliet, str(number)))
    for number in range(7):
        await juliet.receives(from_(romeo, str(number)))
    assert juliet.counting.requests == 1  # once at a time
    juliet.mute = False
    await juliet.acknowledges()
    await romeo.sends(message(juliet, "more"))
    await juliet.receives(from_(romeo, "more"))
    await juliet.receives_nothing()
    assert juliet.counting.requests >= 2


@xep("0198", "6")
async def test_who_acknowledges_more_than_was_sent_is_told(juliet: Actor, romeo: Actor) -> None:
    await juliet.enables()
    await romeo.sends(message(juliet, "Romeo!"))
    await juliet.receives(from_(romeo, "Romeo!"))
    await juliet.acknowledges(1)
    await juliet.acknowledges(0)  # late, and nothing new
    await juliet.acknowledges(3)
    await juliet.receives(
        "<stream:error><undefined-condition xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>"
        f"<handled-count-too-high xmlns='{NS}' h='3' send-count='1'/>"
        f"<text xmlns='urn:ietf:params:xml:ns:xmpp-streams' xml:lang='en'>{ANY}</text></stream:error>"
    )
    await juliet.is_closed()


@xep("0198", "4")
@pytest.mark.simple
async def test_an_acknowledgement_has_a_count(juliet: Actor) -> None:
    await juliet.enables()
    await juliet.sends(f"<a xmlns='{NS}'/>")
    await juliet.is_told("bad-format")


# ── resumption (§5) ──


@xep("0198", "5")
@pytest.mark.parametrize("gateway", [0, 1])
async def test_a_stream_that_broke_goes_on(juliet: Actor, romeo: Actor, cluster: Cluster, gateway: int) -> None:
    await juliet.appears()
    await juliet.enables()
    await juliet.sends(message(romeo, "one"))
    await romeo.receives(from_(juliet, "one"))
    await juliet.vanishes()
    for body in ("two", "three"):
        await romeo.sends(message(juliet, body))
    await romeo.receives_nothing()
    await juliet.resumes(cluster.doors[gateway])
    for body in ("two", "three"):
        await juliet.receives(from_(romeo, body))
    await juliet.sends(message(romeo, "four"))
    await romeo.receives(from_(juliet, "four"))
    await juliet.is_acknowledged()
    await juliet.receives_nothing()


@xep("0198", "5")
async def test_what_the_client_has_not_got_comes_again_and_nothing_else(juliet: Actor, romeo: Actor, cluster: Cluster) -> None:
    await juliet.enables()
    for number in range(5):
        await romeo.sends(message(juliet, str(number)))
    for number in range(5):
        await juliet.receives(from_(romeo, str(number)))
    juliet.counting.h = 3  # the rest was lost on the way
    await juliet.resumes(cluster.doors[1])
    for number in (3, 4):
        await juliet.receives(from_(romeo, str(number)))
    await juliet.receives_nothing()


@xep("0198", "5")
async def test_what_the_server_has_not_got_is_sent_again_and_nothing_else(juliet: Actor, romeo: Actor, cluster: Cluster) -> None:
    await juliet.enables()
    for number in range(20):
        await juliet.sends(message(romeo, str(number)))
    await juliet.resumes(cluster.doors[1])
    await juliet.is_acknowledged()
    for number in range(20):
        await romeo.receives(from_(juliet, str(number)))
    await romeo.receives_nothing()


@xep("0198", "5")
async def test_the_old_stream_is_told_if_it_is_still_there(juliet: Actor, romeo: Actor, cluster: Cluster, enter: Enter) -> None:
    await juliet.enables()
    for gateway in (1, 0, 0):
        other = cluster.actor(juliet.account, juliet.password)
        other.jid, other.counting = juliet.jid, juliet.counting
        await other.asks_to_resume(cluster.doors[gateway])
        await other.receives(f"<resumed xmlns='{NS}' previd='{juliet.counting.previd}' h='{ANY}'/>")
        await juliet.is_told("conflict")
        await romeo.sends(message(other, "Still there?"))
        await other.receives(from_(romeo, "Still there?"))
        juliet = other
    await juliet.receives_nothing()


@xep("0198", "5")
async def test_nobody_goes_on_with_what_is_not_theirs(juliet: Actor, romeo: Actor) -> None:
    await juliet.enables()
    await romeo.enables()
    session, _, token = juliet.counting.previd.rpartition(":")
    await romeo.vanishes()
    for wrong in (juliet.counting.previd, f"{session}:{'0' * len(token)}", f"{session}:", f":{token}", "x"):
        assert await romeo.fails_to_resume(previd=wrong) is None
    assert await romeo.fails_to_resume(previd=juliet.counting.previd) is None
    await romeo.binds("garden")  # §5: no need to log in again
    await romeo.enables()
    await juliet.sends(message(romeo, "Who's there?"))
    await romeo.receives(from_(juliet, "Who's there?"))


@xep("0198", "5")
@pytest.mark.settings(sm={"resume_seconds": 1})
async def test_a_session_waits_for_its_client_and_then_ends(juliet: Actor, romeo: Actor, nurse: Actor, cluster: Cluster) -> None:
    await juliet.enables()
    await juliet.sends(f"<presence to='{nurse.jid}'/>" + message(romeo, "Wait!"))
    await nurse.receives(f"<presence from='{juliet.jid}'/>")
    await romeo.receives(from_(juliet, "Wait!"))
    await juliet.is_acknowledged()
    await juliet.vanishes()
    await romeo.sends(message(juliet, "Are you there?"))
    await nurse.receives(f"<presence from='{juliet.jid}' type='unavailable'/>")
    await romeo.receives(
        f"<message from='{juliet.jid}' type='error'><error type='cancel'><service-unavailable xmlns='{STANZAS}'/></error></message>"
    )
    assert await juliet.fails_to_resume() in knows(cluster, 2)
    await juliet.binds("balcony")


@xep("0198", "7")
async def test_a_stream_that_is_closed_is_over(juliet: Actor, nurse: Actor, cluster: Cluster) -> None:
    await juliet.enables()
    await juliet.sends(f"<presence to='{nurse.jid}'/>")
    await nurse.receives(f"<presence from='{juliet.jid}'/>")
    await juliet.closes()
    await nurse.receives(f"<presence from='{juliet.jid}' type='unavailable'/>")
    assert await juliet.fails_to_resume() in knows(cluster, 1)


@xep("0198", "5")
async def test_a_client_can_not_go_on_twice_on_one_stream(juliet: Actor) -> None:
    previd = await juliet.enables()
    await juliet.sends(f"<resume xmlns='{NS}' previd='{previd}' h='0'/>")
    await juliet.receives(UNEXPECTED)
    await juliet.resumes()
    await juliet.sends(f"<enable xmlns='{NS}'/>")
    await juliet.receives(UNEXPECTED)
    await juliet.receives_nothing()


@xep("0198", "5")
async def test_what_is_sent_to_the_account_waits_with_its_only_session(juliet: Actor, romeo: Actor, cluster: Cluster) -> None:
    await juliet.appears()
    await juliet.enables()
    await juliet.vanishes()
    await romeo.sends(f"<message to='{juliet.account}' type='chat'><body>Where are you?</body></message>")
    await romeo.receives_nothing()
    await juliet.resumes(cluster.doors[1])
    await juliet.receives(f"<message from='{romeo.jid}' to='{juliet.account}' type='chat'><body>Where are you?</body></message>")
    await juliet.receives_nothing()


@xep("0198", "5")
@pytest.mark.parametrize("action", ["delete", "disable"])
async def test_nothing_waits_for_who_may_not_come_back(juliet: Actor, romeo: Actor, nurse: Actor, cluster: Cluster, action: str) -> None:
    await juliet.enables()
    await juliet.sends(f"<presence to='{nurse.jid}'/>")
    await nurse.receives(f"<presence from='{juliet.jid}'/>")
    await juliet.is_acknowledged()
    await juliet.vanishes()
    await romeo.sends(message(juliet, "Where are you?"))
    await romeo.receives_nothing()
    await Accounts(await cluster.connects()).answer({"action": action, "account": juliet.account})
    await nurse.receives(f"<presence from='{juliet.jid}' type='unavailable'/>")
    await romeo.receives(
        f"<message from='{juliet.jid}' type='error'><error type='cancel'><service-unavailable xmlns='{STANZAS}'/></error></message>"
    )
    if action == "disable":
        await Accounts(await cluster.connects()).answer({"action": "enable", "account": juliet.account})
        assert await juliet.fails_to_resume() in knows(cluster, 1)


@xep("0198", "4")
@pytest.mark.settings(limits={"held_stanzas": 20})
async def test_who_never_acknowledges_is_sent_away(juliet: Actor, romeo: Actor, nurse: Actor, cluster: Cluster) -> None:
    """What was not acknowledged goes back, and others notice nothing."""
    juliet.mute = True
    await juliet.enables()
    for number in range(12):
        await romeo.sends(message(juliet, str(number)))
        await nurse.sends(message(juliet, str(number)))
    for _ in range(21):
        await juliet.receives(f"<message from='{ANY}' type='chat'><body>{ANY}</body></message>")
    await juliet.is_told("resource-constraint")
    for sender in (romeo, nurse):
        for _ in range(12):
            await sender.receives(f"<message from='{juliet.jid}' type='error'><error type='cancel'>{UNAVAILABLE}</error></message>")
    await romeo.sends(message(nurse, "She is gone."))
    await nurse.receives(from_(romeo, "She is gone."))
    assert await juliet.fails_to_resume() in knows(cluster, 0)
