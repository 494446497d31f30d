// A map of longitude and latitude: where all items lie, the outlines of results, an area that is drawn, over the server's base map if it has one.
// It fetches from nowhere else; the grid of degrees is drawn here.
import { leaflet as L } from "nicegui-leaflet";
import { loadResource } from "../../static/utils/resources.js";

const STEPS = [60, 30, 15, 10, 5, 2, 1, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001];
const LINES = 5; // about so many lines of the grid across the map
const OUTLINE = { color: "#b45309", weight: 2, fillOpacity: 0.12 };
const CHOSEN = { color: "#1d4ed8", weight: 3, fillOpacity: 0.35 };
const AREA = { color: "#111827", weight: 2, dashArray: "6 4", fillOpacity: 0.05 };
const LEAST_DRAG_PX = 4;

const degrees = (value, positive, negative, step) => {
  const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  return `${Math.abs(value).toFixed(digits)}°${value > 0 ? positive : value < 0 ? negative : ""}`;
};

export default {
  template: `
    <div class="eo-search-map" :class="{ 'eo-drawing': drawing }">
      <div class="eo-map" ref="map" role="application" aria-label="Map of the items"></div>
      <div v-if="drawing" class="eo-hint" role="status">{{ drawing === "box" ? "Drag from corner to corner. Esc ends drawing."
        : "Click each corner; a double click closes the outline. Esc ends drawing." }}</div>
    </div>`,
  props: { density: Object, outlines: Array, chosen: String, area: Array, drawing: String, baseMap: String, resourcePath: String },
  watch: {
    density: "showDensity",
    outlines: { handler: "showOutlines", deep: true },
    chosen: "showChosen",
    area: { handler: "showArea", deep: true },
    drawing: "changeDrawing",
  },
  async mounted() {
    await this.$nextTick(); // NiceGUI sets window.path_prefix then
    await loadResource(window.path_prefix + `${this.resourcePath}/leaflet/leaflet.css`);
    if (!this.$refs.map) return; // the page was left meanwhile
    const calm = { zoomAnimation: false, fadeAnimation: false, inertia: false, attributionControl: false };
    this.map = L.map(this.$refs.map, { crs: L.CRS.EPSG4326, zoomSnap: 0.25, minZoom: -1, maxZoom: 18, ...calm });
    this.map.zoomControl.setPosition("topright");
    this.map.setView([0, 0], 0);
    if (this.baseMap) this.showBaseMap();
    this.grid = L.layerGroup().addTo(this.map);
    this.shapes = new Map();
    this.map.on("moveend zoomend resize", () => this.drawGrid());
    const element = this.$refs.map;
    element.addEventListener("pointerdown", (event) => this.down(event), true);
    element.addEventListener("pointermove", (event) => this.move(event));
    element.addEventListener("pointerup", (event) => this.up(event));
    element.addEventListener("dblclick", () => this.close());
    this.observer = new ResizeObserver(() => this.resized());
    this.observer.observe(this.$el);
    this.onKey = (event) => event.key === "Escape" && this.drawing && this.finish(null);
    document.addEventListener("keydown", this.onKey);
    this.showDensity();
    this.showArea();
    this.showOutlines();
  },
  unmounted() {
    this.observer?.disconnect();
    document.removeEventListener("keydown", this.onKey);
    this.map?.remove();
  },
  methods: {
    showBaseMap() {
      const world = [[-90, -180], [90, 180]]; // prettier-ignore
      const tiles = { noWrap: true, bounds: world, minZoom: -1, minNativeZoom: 0, maxZoom: 18, alt: "", className: "eo-base-map" };
      L.tileLayer(this.baseMap, tiles).addTo(this.map);
    },
    resized() {
      this.map.invalidateSize();
      if (!this.isFitted && this.$refs.map.clientWidth) this.fit();
    },
    fit() {
      const bounds = this.outlines?.length ? this.boundsOfOutlines() : this.density && this.cornersOf(this.density.bounds);
      if (!bounds || !this.$refs.map.clientWidth) return;
      this.isFitted = true;
      this.map.fitBounds(bounds, { padding: [20, 20], maxZoom: 14, animate: false });
      this.drawGrid();
    },
    cornersOf([west, south, east, north]) {
      return [[south, west], [north, east]];
    },
    boundsOfOutlines() {
      const found = L.latLngBounds([]);
      this.shapes.forEach((shape) => found.extend(shape.getBounds()));
      return found.isValid() ? found : null;
    },
    showDensity() {
      if (!this.map) return;
      this.picture?.remove();
      this.picture = null;
      if (this.density) {
        this.picture = L.imageOverlay(this.density.picture, this.cornersOf(this.density.bounds), { interactive: false }).addTo(this.map);
      }
      this.isFitted = false;
      this.fit();
    },
    showOutlines() {
      if (!this.map) return;
      this.shapes.forEach((shape) => shape.remove());
      this.shapes.clear();
      for (const { key, rings, title } of this.outlines || []) {
        const shape = L.polygon(rings, { ...OUTLINE, className: "eo-outline" }).addTo(this.map);
        shape.getElement().dataset.key = key;
        const words = document.createElement("span");
        words.textContent = title; // a name is no markup
        shape.bindTooltip(words);
        shape.on("click", () => !this.drawing && this.$emit("picked", key));
        this.shapes.set(key, shape);
      }
      this.showChosen();
      if (this.shapes.size) this.fit();
    },
    showChosen() {
      this.shapes?.forEach((shape, key) => {
        shape.setStyle(key === this.chosen ? CHOSEN : OUTLINE);
        shape.getElement()?.classList.toggle("eo-chosen", key === this.chosen);
        if (key === this.chosen) {
          shape.bringToFront();
          if (!this.map.getBounds().intersects(shape.getBounds())) this.map.panTo(shape.getBounds().getCenter(), { animate: false });
        }
      });
    },
    showArea() {
      if (!this.map) return;
      this.areaShape?.remove();
      this.areaShape = this.area?.length ? L.polygon(this.area, { ...AREA, interactive: false }).addTo(this.map) : null;
    },
    drawGrid() {
      const size = this.map.getSize();
      if (!size.x || !size.y) return;
      const bounds = this.map.getBounds();
      const [south, north] = [Math.max(bounds.getSouth(), -90), Math.min(bounds.getNorth(), 90)];
      const [west, east] = [Math.max(bounds.getWest(), -180), Math.min(bounds.getEast(), 180)];
      const step = STEPS.find((each) => (bounds.getEast() - bounds.getWest()) / each >= LINES) || STEPS[STEPS.length - 1];
      const line = { color: "#94a3b8", weight: 1, opacity: 0.5, interactive: false };
      this.grid.clearLayers();
      for (let x = Math.ceil(west / step) * step; x <= east + 1e-9; x += step) {
        L.polyline([[south, x], [north, x]], line).addTo(this.grid);
        this.label([Math.max(bounds.getSouth(), -90), x], degrees(x, "E", "W", step), "eo-grid-x");
      }
      for (let y = Math.ceil(south / step) * step; y <= north + 1e-9; y += step) {
        L.polyline([[y, west], [y, east]], line).addTo(this.grid);
        this.label([y, Math.max(bounds.getWest(), -180)], degrees(y, "N", "S", step), "eo-grid-y");
      }
    },
    label(place, text, kind) {
      const icon = L.divIcon({ className: `eo-grid-label ${kind}`, html: text, iconSize: [0, 0] });
      L.marker(place, { icon, interactive: false, keyboard: false }).addTo(this.grid);
    },
    changeDrawing() {
      this.points = [];
      this.sketch?.remove();
      this.sketch = null;
      const move = this.drawing ? "disable" : "enable";
      this.map.dragging[move]();
      this.map.doubleClickZoom[move]();
    },
    placeOf(event) {
      const place = this.map.mouseEventToLatLng(event);
      return [Math.min(Math.max(place.lat, -90), 90), Math.min(Math.max(place.lng, -180), 180)];
    },
    down(event) {
      if (!this.drawing || event.button) return;
      event.stopPropagation();
      event.preventDefault();
      if (this.drawing === "box") {
        this.from = { place: this.placeOf(event), x: event.clientX, y: event.clientY };
        event.target.setPointerCapture?.(event.pointerId);
      } else {
        this.points.push(this.placeOf(event));
        this.sketchIt(this.points);
      }
    },
    move(event) {
      if (this.drawing === "box" && this.from) this.sketchIt(this.corners(event));
    },
    up(event) {
      if (this.drawing !== "box" || !this.from) return;
      const isDrag = Math.hypot(event.clientX - this.from.x, event.clientY - this.from.y) >= LEAST_DRAG_PX;
      const points = this.corners(event);
      this.from = null;
      if (isDrag) this.finish(points);
    },
    corners(event) {
      const [[a, b], [c, d]] = [this.from.place, this.placeOf(event)];
      return [[a, b], [a, d], [c, d], [c, b]];
    },
    close() {
      const points = (this.points || []).filter((point, number, all) => !number || point.join() !== all[number - 1].join());
      if (this.drawing === "polygon" && points.length >= 3) this.finish(points);
    },
    sketchIt(points) {
      this.sketch?.remove();
      this.sketch = L.polygon(points, { ...AREA, interactive: false }).addTo(this.map);
    },
    finish(points) {
      this.from = null;
      this.points = [];
      this.sketch?.remove();
      this.$emit("drawn", points);
    },
  },
};
