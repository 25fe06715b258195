#include "../engine/tunnel_table.h"

#include <doctest/doctest.h>

#include <thread>

#include "../engine/error.h"
#include "../engine/memory_device.h"
#include "../engine/published.h"
#include "support.h"

using namespace kagemusha;
using namespace kagemusha::test;

namespace {

const Address home = addressOf(0x10), other = addressOf(0x11), agent = addressOf(1), careOf = addressOf(0x44);

TunnelSpec mobileNode(std::uint32_t slot, const Address& homeAddress, const Address& local,
                      PortId port = kNone) {
  return {.slot = slot,
          .side = Side::kMobileNode,
          .local = local,
          .remote = agent,
          .homeAddresses = {homeAddress},
          .port = port,
          .mtu = 1460};
}

TunnelSpec homeAgent(std::uint32_t slot, const Address& homeAddress, const Address& remote) {
  return {.slot = slot,
          .side = Side::kHomeAgent,
          .local = agent,
          .remote = remote,
          .homeAddresses = {homeAddress},
          .mtu = 1460};
}

struct Fixture {
  Region region{4, 4, 4};
  TunnelTable table(const TableSpec& spec, TunnelTable::Ports ports = {}) {
    return TunnelTable(spec, std::move(ports), nullptr, region);
  }
  std::string refusal(const TableSpec& spec) {
    try {
      table(spec);
      return "";
    } catch (const EngineError& error) {
      CHECK(error.code() == "TABLE_INVALID");
      return error.what();
    }
  }
};

}  // namespace

TEST_CASE_FIXTURE(Fixture, "an empty table finds nothing") {
  const TunnelTable empty = table({});
  CHECK(!empty.mobileNodeOf(home));
  CHECK(!empty.between(agent, careOf));
  CHECK(!empty.localSide(agent));
  CHECK(!empty.port(0));
}

TEST_CASE_FIXTURE(Fixture, "each side is found by its own addresses only") {
  auto port = std::make_shared<Port>(0, Port::Role::kGuest, nullptr, Mac{}, region.portCounters(0));
  const TunnelTable both = table(
      {{mobileNode(0, home, careOf, 0), homeAgent(1, home, careOf)}, {{agent, Side::kHomeAgent}}}, {port});
  REQUIRE(both.mobileNodeOf(home));
  CHECK(both.mobileNodeOf(home)->spec.slot == 0);
  CHECK(both.homeAgentOf(home)->spec.slot == 1);
  CHECK(both.between(agent, careOf)->spec.slot == 0);
  CHECK(!both.between(careOf, agent));
  CHECK(both.mobileNodeOf(home)->owns(home));
  CHECK(!both.mobileNodeOf(home)->owns(other));
  CHECK(*both.localSide(agent) == Side::kHomeAgent);
  CHECK(both.hasTunnel(*port));
  CHECK(both.port(0) == port.get());
}

TEST_CASE_FIXTURE(Fixture, "the ends of a tunnel are known on both sides, also when several share them") {
  const TunnelTable both = table(
      {{mobileNode(0, home, careOf), homeAgent(1, home, careOf), homeAgent(2, other, addressOf(0x45))}, {}});
  CHECK((*both.anyBetween(agent, careOf))->spec.slot == 0);
  CHECK((*both.anyBetween(careOf, agent))->spec.slot == 1);
  CHECK((*both.anyBetween(addressOf(0x45), agent))->spec.slot == 2);
  CHECK(!both.anyBetween(careOf, home));
  CHECK(!both.anyBetween(home, careOf));
  for (const std::uint32_t third : {0u, 3u}) {
    std::vector<TunnelSpec> shared{homeAgent(1, home, careOf), homeAgent(2, other, careOf)};
    if (third) shared.push_back(homeAgent(third, addressOf(0x12), careOf));
    const auto ends = table({shared, {}}).anyBetween(careOf, agent);
    REQUIRE(ends);
    CHECK(*ends == nullptr);
  }
}

TEST_CASE_FIXTURE(Fixture, "a table that is ambiguous is refused with its reason") {
  CHECK(refusal({{mobileNode(4, home, careOf)}, {}}).find("maxTunnels") != std::string::npos);
  CHECK(refusal({{mobileNode(0, home, careOf), mobileNode(0, other, agent)}, {}}).find("slot 0") !=
        std::string::npos);
  CHECK(refusal({{mobileNode(0, home, careOf), mobileNode(1, home, agent)}, {}}).find("2001:db8::10") !=
        std::string::npos);
  CHECK(refusal({{mobileNode(0, home, careOf), mobileNode(1, other, careOf)}, {}}).find("care-of address") !=
        std::string::npos);
  CHECK(refusal({{}, {{agent, Side::kHomeAgent}, {agent, Side::kMobileNode}}}).find("twice") !=
        std::string::npos);
  TunnelSpec narrow = mobileNode(0, home, careOf);
  narrow.mtu = 1279;
  CHECK(refusal({{narrow}, {}}).find("1280") != std::string::npos);
  TunnelSpec dead = mobileNode(0, home, careOf);
  dead.hopLimit = 0;
  CHECK(refusal({{dead}, {}}).find("hop limit of 0") != std::string::npos);
  TunnelSpec wide = mobileNode(0, home, careOf);
  wide.dscp = std::uint8_t{64};
  CHECK(refusal({{wide}, {}}).find("DSCP of 64") != std::string::npos);
}

TEST_CASE_FIXTURE(Fixture,
                  "a tunnel that only takes packets is found by its ends, not by its home addresses") {
  auto port = std::make_shared<Port>(0, Port::Role::kGuest, nullptr, Mac{}, region.portCounters(0));
  const Address old = addressOf(0x45), older = addressOf(0x46);
  TunnelSpec first = mobileNode(0, home, careOf, 0), second = mobileNode(1, home, careOf, 0);
  first.inbound = second.inbound = true;
  first.remote = old;
  second.remote = older;
  {
    const TunnelTable alone = table({{first, second}, {}}, {port});
    CHECK(!alone.mobileNodeOf(home));
    CHECK(!alone.hasTunnel(*port));
    CHECK(alone.between(old, careOf)->spec.slot == 0);
    CHECK(alone.between(old, careOf)->owns(home));
    CHECK(alone.between(older, careOf)->port == port);
    CHECK(!alone.fromHomeAgent(old, careOf));
  }
  const TunnelTable both = table({{first, mobileNode(2, home, careOf, 0), second}, {}}, {port});
  CHECK(both.mobileNodeOf(home)->spec.slot == 2);
  CHECK(both.fromHomeAgent(agent, careOf)->spec.slot == 2);
  CHECK(both.hasTunnel(*port));
  second.remote = old;
  CHECK(refusal({{first, second}, {}}).find("care-of address") != std::string::npos);
}

TEST_CASE_FIXTURE(Fixture, "a guest has left, or has come, and at the home agent neither") {
  for (const bool onward : {true, false}) {
    TunnelSpec tunnel = homeAgent(0, home, careOf);
    (onward ? tunnel.onward : tunnel.inbound) = true;
    CHECK(refusal({{tunnel}, {}}).find("home agent's tunnel") != std::string::npos);
  }
  TunnelSpec both = mobileNode(0, home, careOf);
  both.onward = both.inbound = true;
  CHECK(refusal({{both}, {}}).find("onward and inbound") != std::string::npos);
}

TEST_CASE_FIXTURE(Fixture,
                  "a place of a guest that left is told from a home agent's tunnel by where it begins") {
  const TunnelTable place = table({{{homeAgent(0, home, careOf)}}, {{agent, Side::kMobileNode}}});
  CHECK(place.homeAgentOf(home)->isPlace);
  const TunnelTable real = table({{{homeAgent(0, home, careOf)}}, {{agent, Side::kHomeAgent}}});
  CHECK(!real.homeAgentOf(home)->isPlace);
}

TEST_CASE("the flat map holds every key it was given, whatever their hashes") {
  Random random(7);
  std::vector<Address> keys;
  for (int count = 0; count < 1000; ++count) {
    Address address;
    for (auto& octet : address.octets) octet = random.octet();
    keys.push_back(address);
  }
  FlatMap<Address, std::size_t> map(keys.size());
  for (std::size_t index = 0; index < keys.size(); ++index) CHECK(map.insert(keys[index], index));
  CHECK(!map.insert(keys[3], 0));
  for (std::size_t index = 0; index < keys.size(); ++index) CHECK(*map.find(keys[index]) == index);
  CHECK(!map.find(addressOf(1)));
  for (std::size_t index = 0; index < keys.size(); ++index) map.set(keys[index], index + 1);
  for (std::size_t index = 0; index < keys.size(); ++index) CHECK(*map.find(keys[index]) == index + 1);
}

TEST_CASE("readers never see a value that is gone") {
  struct Guarded {
    std::uint64_t a, b;
    ~Guarded() { a = 0, b = 1; }
  };
  Published<Guarded> published(2, std::make_unique<const Guarded>(1u, 1u));
  std::atomic<bool> stop = false, torn = false;
  const auto read = [&](std::size_t reader) {
    while (!stop) {
      const Guarded& value = published.enter(reader);
      for (int times = 0; times < 10; ++times)
        if (value.a != value.b) torn = true;
      published.leave(reader);
    }
  };
  std::thread first(read, 0), second(read, 1);
  for (std::uint64_t number = 2; number < 2000; ++number)
    published.publish(std::make_unique<const Guarded>(number, number));
  stop = true;
  first.join();
  second.join();
  CHECK(!torn);
}

TEST_CASE("a device lives as long as a table names it") {
  Region region{4, 4, 4};
  std::weak_ptr<MemoryDevice> device;
  {
    auto opened = std::make_shared<MemoryDevice>();
    device = opened;
    auto port =
        std::make_shared<Port>(0, Port::Role::kGuest, std::move(opened), Mac{}, region.portCounters(0));
    const TunnelTable table({}, {std::move(port)}, nullptr, region);
    CHECK(!device.expired());
  }
  CHECK(device.expired());
}
