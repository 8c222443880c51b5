// The few libuv functions that we use, declared by hand: node-api-headers has no uv.h. All are part of
// libuv's stable ABI (1.x); a handle's size is asked for at run time.
#pragma once
#include <cstddef>

extern "C" {
struct uv_loop_s;
struct uv_handle_s;
struct uv_poll_s;
int uv_poll_init(uv_loop_s* loop, uv_poll_s* handle, int fd);
int uv_poll_start(uv_poll_s* handle, int events, void (*callback)(uv_poll_s*, int, int));
int uv_poll_stop(uv_poll_s* handle);
void uv_close(uv_handle_s* handle, void (*callback)(uv_handle_s*));
size_t uv_handle_size(int type);
void uv_handle_set_data(uv_handle_s* handle, void* data);
void* uv_handle_get_data(const uv_handle_s* handle);
const char* uv_handle_type_name(int type);
}

namespace ringspec {
/** uv_handle_type's UV_POLL; its name is checked before use. */
inline constexpr int kUvPoll = 8;
/** uv_poll_event's UV_READABLE. */
inline constexpr int kUvReadable = 1;
}  // namespace ringspec
