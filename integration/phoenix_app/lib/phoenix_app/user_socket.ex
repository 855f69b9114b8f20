defmodule PhoenixApp.UserSocket do
  @moduledoc """
  Who may connect, and as whom: the user is what a token was signed for, or the
  param "user", or "anon". A token is the param "user_token", or the auth token.
  """
  use Phoenix.Socket

  channel "room:*", PhoenixApp.RoomChannel

  @max_age 86_400

  @impl true
  def connect(%{"deny" => _}, _socket, _connect_info), do: :error

  def connect(params, socket, connect_info) do
    case params["user_token"] || connect_info[:auth_token] do
      nil ->
        {:ok, assign(socket, :user, to_string(params["user"] || "anon"))}

      token ->
        with {:ok, data} <- verify(token) do
          {:ok, assign(socket, :user, to_string(data))}
        end
    end
  end

  @impl true
  def id(socket), do: "user_socket:#{socket.assigns.user}"

  defp verify(token) do
    case Phoenix.Token.verify(PhoenixApp.Endpoint, "user socket", token, max_age: @max_age) do
      {:ok, data} -> {:ok, data}
      {:error, _reason} -> :error
    end
  end
end
