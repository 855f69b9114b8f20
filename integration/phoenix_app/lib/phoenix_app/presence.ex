defmodule PhoenixApp.Presence do
  @moduledoc """
  Who is in a room.
  """
  use Phoenix.Presence, otp_app: :phoenix_app, pubsub_server: PhoenixApp.PubSub
end
