// A thread with one event loop over many ports.
#pragma once

#include <sys/epoll.h>

#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>
#include <unordered_map>

#include "batch_memory.h"
#include "forwarder.h"
#include "published.h"
#include "unique_fd.h"

namespace kagemusha {

// Sleeps in epoll_wait until a device is readable; then each ready device gets one batch in turn, so that no
// guest can keep the others waiting longer than that.
//
// While the uplink takes no more, guests' ports are not read: what guests send waits in their devices'
// queues, where they notice, and is not lost here.
//
//   epoll_    event, timer, uplink, ports                      as long as the uplink takes what we send
//   urgent_   event, timer, uplink, control ports, sendFd()    until it has room again
class Worker {
 public:
  // With busy polling: so long after the last packet the thread does not sleep, but asks again and again. Who
  // sends a packet each second meets it awake.
  static constexpr Instant kBusyFor = 2 * kSecond;

  // Reader number `index` of `table`. The worker that also sends what JavaScript transmits has a
  // `transmitRing`.
  Worker(std::size_t index, const Region& region, SlowPath& slowPath, Policing& policing,
         Published<TunnelTable>& table, std::optional<SlowPathRing> transmitRing, bool busyPoll = false);
  // Stops the thread.
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // These may be called from one other thread; they return when the worker has done it. What adds throws
  // EngineError OUT_OF_DESCRIPTORS, and then nothing was added.
  void add(std::shared_ptr<Port> port);
  // To read from.
  void add(std::shared_ptr<Uplink> uplink);
  // To write to: each worker does.
  void addSender(std::shared_ptr<Device> uplink);
  void remove(const Device& device);
  // Before anything was written to it.
  void removeSender();

  // Looks at the transmit ring. Any thread.
  void kick();

 private:
  // Exactly one of them.
  struct Source {
    std::shared_ptr<Port> port;
    std::shared_ptr<Uplink> uplink;
    Device& device() const { return port ? *port->device : *uplink->device; }
  };

  void call(std::function<void()> command);
  // 0, or errno: then it is not watched.
  int watch(Source source);
  void unwatch(const Device& device);
  void run();
  void runCommands();
  // `events`: as epoll says.
  void serve(Source& source, std::uint32_t events);
  // Whether it is left alone while the uplink has no room: a guest's port.
  static bool mayWait(const Source& source) { return source.port && source.port->role == Port::Role::kGuest; }
  void servePort(Port& port);
  // After a second: see Device::look().
  void look();
  void countLosses(Device& device);
  void toTheEnd(Device& device);
  void serveUplink(Device& device);
  // It is not watched any more. `why`: kGone or kNonsense.
  void lose(Device& device, Io why);
  void transmit();
  // After what may have left packets waiting for the uplink.
  void settle();
  void resume();

  // As epoll_wait(): at least one event, unless a signal came.
  int wait(std::span<epoll_event> events);

  const std::size_t index_;
  const bool busyPoll_;
  const EngineCounters counters_;
  SlowPath& slowPath_;
  Published<TunnelTable>& table_;
  std::optional<SlowPathRing> transmitRing_;
  Forwarder forwarder_;
  BatchMemory memory_;
  UniqueFd epoll_, urgent_, event_, timer_;
  std::shared_ptr<Device> sender_;           // set once; touched by the thread only
  bool waiting_ = false;                     // for the uplink to have room
  std::unordered_map<int, Source> sources_;  // by file descriptor; touched by the thread only

  std::mutex mutex_;
  std::condition_variable done_;
  std::function<void()> command_;  // under mutex_; empty: none waits
  bool stopping_ = false;          // touched by the thread only
  std::thread thread_;             // last: everything else exists before it runs
};

}  // namespace kagemusha
