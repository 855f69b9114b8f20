defmodule PhoenixApp.RoomChannel do
  @moduledoc """
  A room in which everything happens on command: what a topic or an event does,
  its name says.
  """
  use Phoenix.Channel

  alias PhoenixApp.{Endpoint, Presence}

  intercept ["secret"]

  # --- Joining ----------------------------------------------------------------

  @impl true
  def join("room:deny", _params, _socket), do: {:error, %{reason: "unauthorized"}}
  def join("room:crashjoin", _params, _socket), do: raise("crashjoin")
  def join("room:binary", _params, socket), do: {:ok, {:binary, "joined"}, socket}
  def join("room:list", _params, socket), do: {:ok, [1, "two", nil], socket}

  def join("room:slow", _params, socket) do
    Process.sleep(1_500)
    {:ok, socket}
  end

  def join(topic, params, socket) do
    with %{"track" => key} <- params, do: send(self(), {:track, to_string(key)})
    {:ok, %{topic: topic, params: params, user: socket.assigns.user}, socket}
  end

  # --- Replies ----------------------------------------------------------------

  @impl true
  def handle_in("echo", payload, socket), do: {:reply, {:ok, payload}, socket}
  def handle_in("err", payload, socket), do: {:reply, {:error, payload}, socket}
  def handle_in("status_only", _payload, socket), do: {:reply, :ok, socket}
  def handle_in("status", _payload, socket), do: {:reply, {:my_status, %{a: 1}}, socket}

  def handle_in("response", %{"response" => response}, socket) do
    {:reply, {:ok, response}, socket}
  end

  def handle_in("multi", _payload, socket) do
    ref = socket_ref(socket)
    reply(ref, {:ok, %{i: 1}})
    reply(ref, {:error, %{i: 2}})
    {:noreply, socket}
  end

  def handle_in("later", payload, socket) do
    Process.send_after(self(), {:later, socket_ref(socket), payload}, 150)
    {:noreply, socket}
  end

  def handle_in("sleep", %{"ms" => ms} = payload, socket) do
    Process.sleep(ms)
    {:reply, {:ok, payload}, socket}
  end

  def handle_in("noreply", _payload, socket), do: {:noreply, socket}

  # --- Pushes and broadcasts --------------------------------------------------

  def handle_in("push", payload, socket) do
    push(socket, "pushed", payload)
    {:reply, :ok, socket}
  end

  def handle_in("push_bin", _payload, socket) do
    push(socket, "bin", {:binary, <<0, 1, 2, 255>>})
    {:noreply, socket}
  end

  def handle_in("flood", %{"n" => n, "size" => size}, socket) do
    body = String.duplicate("x", size)
    for i <- 1..n//1, do: push(socket, "flood", %{i: i, body: body})
    {:reply, {:ok, %{sent: n}}, socket}
  end

  def handle_in("shout", payload, socket) do
    broadcast!(socket, "shout", payload)
    {:reply, :ok, socket}
  end

  def handle_in("shout_others", payload, socket) do
    broadcast_from!(socket, "shout", payload)
    {:reply, :ok, socket}
  end

  def handle_in("shout_bin", {:binary, _data} = payload, socket) do
    broadcast!(socket, "shout_bin", payload)
    {:reply, {:ok, payload}, socket}
  end

  def handle_in("secret", payload, socket) do
    broadcast!(socket, "secret", payload)
    {:reply, :ok, socket}
  end

  # --- Presence ---------------------------------------------------------------

  def handle_in("update", payload, socket) do
    {:ok, _ref} = Presence.update(socket, socket.assigns.track, payload)
    {:reply, :ok, socket}
  end

  def handle_in("untrack", _payload, socket) do
    :ok = Presence.untrack(socket, socket.assigns.track)
    {:reply, :ok, socket}
  end

  # --- Ends -------------------------------------------------------------------

  def handle_in("crash", _payload, _socket), do: raise("crash")
  def handle_in("stop", _payload, socket), do: {:stop, :normal, socket}
  def handle_in("stop_error", _payload, socket), do: {:stop, :abnormal, socket}

  def handle_in("stop_reply", _payload, socket) do
    {:stop, :shutdown, {:ok, %{bye: true}}, socket}
  end

  def handle_in("disconnect_me", _payload, socket) do
    Endpoint.broadcast!(socket.id, "disconnect", %{})
    {:noreply, socket}
  end

  # ----------------------------------------------------------------------------

  @impl true
  def handle_out("secret", payload, socket) do
    if socket.assigns.user == "u" do
      push(socket, "secret", Map.put(payload, "seen_by", "u"))
    end

    {:noreply, socket}
  end

  @impl true
  def handle_info({:track, key}, socket) do
    meta = %{online_at: System.os_time(:second), state: "new"}
    {:ok, _ref} = Presence.track(socket, key, meta)
    push(socket, "presence_state", Presence.list(socket))
    {:noreply, assign(socket, :track, key)}
  end

  def handle_info({:later, ref, payload}, socket) do
    reply(ref, {:ok, payload})
    {:noreply, socket}
  end
end
